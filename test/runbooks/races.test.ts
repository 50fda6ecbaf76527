import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { armFailpoint } from "../../lib/failpoint.ts";
import { isUnavailable, type Database } from "../../lib/postgres.ts";
import { takeSlot } from "../../runbooks/guard.ts";
import {
  findDueRuns,
  findRun,
  leaseRun,
  LeaseLost,
  moveRun,
  recordProgress,
} from "../../runbooks/ledger.ts";
import { fixedPolicy } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import type { RunDeps } from "../../runbooks/steps/step.ts";
import { ClusterError } from "../../runbooks/types/cluster.ts";
import type { Run } from "../../runbooks/types/run.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, slotsOf, stateOf, waitingRun } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let apps = 0;
const nextApp = () => `app-${++apps}`;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});

afterAll(async () => {
  armFailpoint(undefined);
  await database.close();
  await testDatabase.drop();
});

test("a step that dies after the cluster was called has one effect, and is written down by the next worker", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  armFailpoint("after-cluster-call:throw");
  await expect(setup.advance(id)).rejects.toThrow("failpoint");
  armFailpoint(undefined);

  await setup.advance(id);

  expect(await stateOf(setup)).toBe("verifying");
  expect(setup.cluster.effects).toHaveLength(1);
  expect((await setup.events(id)).filter((event) => event === "executed")).toHaveLength(1);
});

test("a run that somebody works on is left alone, and found again when its lease has ended", async () => {
  const setup = given(database, nextApp());
  await setup.deliver([{}]);
  const id = (await setup.runs())[0]?.id ?? "";
  await leaseRun({ id, owner: "worker-2", seconds: 30 }, database);

  await setup.advance(id);
  expect(await stateOf(setup)).toBe("matched");
  expect(await findDueRuns(database)).not.toContain(id);

  await database.query(
    "UPDATE runs SET lease_until = now() - interval '1 second', look_at = now() WHERE id = $1",
    [id],
  );
  expect(await findDueRuns(database)).toContain(id);
});

test("a run that verifies makes no jobs of its own, however often it is looked at", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  setup.jobs.length = 0;

  for (let look = 0; look < 5; look += 1) await setup.advance(id);

  expect(await stateOf(setup)).toBe("verifying");
  expect(setup.jobs).toEqual([]);
  await waitUntil("its next look", async () => (await findDueRuns(database)).includes(id));
});

test.each<[string, (deps: RunDeps) => Partial<RunDeps>]>([
  ["the kill switch", ({ switches }) => ({ switches: { ...switches, enabled: false } })],
  ["a switch to dry-run", ({ switches }) => ({ switches: { ...switches, dryRun: true } })],
  ["the approver's lost right", ({ switches }) => ({ switches: { ...switches, approvers: [] } })],
  ["a removed rule", () => ({ policy: fixedPolicy(parsePolicy("", new Set())) })],
])("%s stops a run that the cluster has not answered yet", async (_name, change) => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  setup.cluster.failWith(new ClusterError("no answer", { retryable: true }));
  await expect(setup.advance(id)).rejects.toThrow("no answer");
  setup.cluster.failWith(undefined);

  await setup.advance(id, change(setup.deps));

  expect(await setup.runs()).toMatchObject([
    { state: "unknown", outcome: expect.stringContaining("a person must look") },
  ]);
  expect(setup.cluster.effects).toEqual([]);
});

test("a restart that happened is written down as executed, also when somebody restarted again meanwhile", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  armFailpoint("after-cluster-call:throw");
  await expect(setup.advance(id)).rejects.toThrow("failpoint");
  armFailpoint(undefined);
  setup.cluster.change({ generation: 9, restartedAt: "2026-11-21T04:00:00Z" });

  await setup.advance(id);

  expect(await stateOf(setup)).toBe("verifying");
  expect(await setup.events(id)).toContain("executed");
  expect(setup.cluster.effects).toHaveLength(1);
});

test("a worker that lost its lease writes nothing any more", async () => {
  const setup = given(database, nextApp());
  await setup.deliver([{}]);
  const id = (await setup.runs())[0]?.id ?? "";
  const first = await leaseRun({ id, owner: "worker-1", seconds: 30 }, database);
  await database.query("UPDATE runs SET lease_until = now() - interval '1 second' WHERE id = $1", [
    id,
  ]);
  await leaseRun({ id, owner: "worker-2", seconds: 30 }, database);

  await expect(
    moveRun(first as Run, { state: "failed", audit: [{ event: "failed", actor: "x" }] }, database),
  ).rejects.toThrow(LeaseLost);
  const audit = [{ event: "progress", actor: "x" }];
  await expect(
    recordProgress(first as Run, { progress: { pods: 1 }, audit }, database),
  ).rejects.toThrow(LeaseLost);

  expect(await stateOf(setup)).toBe("matched");
  expect(await setup.events(id)).toEqual(["request"]);
});

test("without its audit row a change does not happen", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  await database.query(
    "ALTER TABLE runbooks_audit ADD CONSTRAINT no_intent CHECK (event <> 'intent') NOT VALID",
  );

  await expect(setup.advance(id)).rejects.toThrow("no_intent");
  await database.query("ALTER TABLE runbooks_audit DROP CONSTRAINT no_intent");

  expect(await stateOf(setup)).toBe("approved");
  expect(setup.cluster.effects).toEqual([]);
});

test("what an action has done so far is there for the next worker, in the record as well", async () => {
  const setup = given(database, nextApp());
  await setup.deliver([{}]);
  const id = (await setup.runs())[0]?.id ?? "";
  const run = await leaseRun({ id, owner: "worker-1", seconds: 30 }, database);
  const audit = [{ event: "progress", actor: "fettle", detail: { pod: "a" } }];

  await recordProgress(run as Run, { progress: { done: ["a"] }, audit }, database);

  const after = await findRun(id, database);
  expect(after?.progress).toEqual({ done: ["a"] });
  expect(after?.stateSince).toEqual(run?.stateSince);
  expect(await setup.events(id)).toEqual(["request", "progress"]);
});

/** Ten connections for 1,280 people: who waited for one in vain presses again, as a 503 asks. */
async function pressed<T>(press: () => Promise<T>): Promise<T> {
  try {
    return await press();
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    return pressed(press);
  }
}

test("64 people answering 20 requests at the same moment give 20 decisions", async () => {
  const setups = Array.from({ length: 20 }, () => given(database, nextApp()));
  const ids = await Promise.all(setups.map(waitingRun));

  const outcomes = await Promise.all(
    ids.flatMap((id, at) =>
      Array.from({ length: 64 }, async (_, click) => {
        const verdict = click % 2 === 0 ? "approved" : "rejected";
        return pressed(async () => setups[at]?.answer(id, verdict, click % 3 ? "ivan" : "ana"));
      }),
    ),
  );

  expect(outcomes.filter((outcome) => outcome?.kind === "decided")).toHaveLength(20);
});

test("64 racing runs of one app take exactly the slots of the limit", async () => {
  const app = nextApp();
  const appKey = `default/shop/deployment/${app}`;
  await database.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at)
     SELECT $1 || n, $1 || n, 'anomaly', 'approved', 'shop', $1, '{}', now() FROM generate_series(1, 64) n`,
    [app],
  );

  const slots = await Promise.all(
    Array.from({ length: 64 }, async (_, at) =>
      database.inTransaction(async (tx) =>
        takeSlot(
          { appKeys: [appKey], runId: `${app}${at + 1}`, limits: { hourly: 3, daily: 10 } },
          tx,
        ),
      ),
    ),
  );

  expect(slots.filter(({ taken }) => taken)).toHaveLength(3);
  expect(await slotsOf(app, database)).toBe(3);
});

test("a run's second try keeps its slot and takes no other", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  const appKey = `retry-${id}`;
  const take = async () =>
    database.inTransaction(async (tx) =>
      takeSlot({ appKeys: [appKey], runId: id, limits: { hourly: 1, daily: 1 } }, tx),
    );

  expect([await take(), await take()]).toEqual([{ taken: true }, { taken: true }]);
});
