import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { ClusterError } from "../../runbooks/types/cluster.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, slotsOf, stateOf, waitingRun, type Given } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let apps = 0;
const nextApp = () => `app-${++apps}`;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test("asks, executes once, verifies, and writes each step down in order", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  expect(setup.cluster.effects).toEqual([]);

  await setup.answer(id, "approved");
  await setup.advance(id);
  expect(await stateOf(setup)).toBe("verifying");
  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:05:00Z" }]);
  await setup.advance(id);

  expect(await stateOf(setup)).toBe("succeeded");
  expect(setup.cluster.effects).toHaveLength(1);
  expect(await setup.events(id)).toEqual([
    "request",
    "approval_pending",
    "approved",
    "intent",
    "executed",
    "verified",
  ]);
});

test("in a dry run only asks the server, changes nothing and uses no slot", async () => {
  const app = nextApp();
  const setup = given(database, app);
  const dry = { switches: { ...setup.deps.switches, dryRun: true } };
  await setup.deliver([{}]);
  const id = (await setup.runs())[0]?.id ?? "";
  await setup.advance(id, dry);
  await setup.answer(id, "approved");
  await setup.advance(id, dry);

  expect(await stateOf(setup)).toBe("skipped_dry_run");
  expect(setup.cluster.restarts).toMatchObject([{ dryRun: true }, { dryRun: true }]);
  expect(setup.cluster.effects).toEqual([]);
  expect(await slotsOf(app, database)).toBe(0);
});

test("an approval of a real run does not survive a switch to dry-run, nor a person who lost the right", async () => {
  const dryRun = given(database, nextApp());
  const first = await waitingRun(dryRun);
  await dryRun.answer(first, "approved");
  await dryRun.advance(first, { switches: { ...dryRun.deps.switches, dryRun: true } });

  const disabled = given(database, nextApp());
  const second = await waitingRun(disabled);
  await disabled.answer(second, "approved", "ana");
  await disabled.advance(second, {
    switches: { ...disabled.deps.switches, approvers: ["ivan"] },
  });

  expect(await stateOf(dryRun)).toBe("skipped_no_approval");
  expect(await disabled.runs()).toMatchObject([
    { state: "skipped_no_approval", outcome: "ana may not approve any more" },
  ]);
  expect([...dryRun.cluster.effects, ...disabled.cluster.effects]).toEqual([]);
});

test("ends rejected, and a second answer changes nothing", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);

  await setup.answer(id, "rejected");
  const late = await setup.answer(id, "approved", "ivan");
  await setup.advance(id);

  expect(late).toEqual({ kind: "closed", state: "rejected", by: "ana" });
  expect(await stateOf(setup)).toBe("rejected");
  expect(setup.cluster.effects).toEqual([]);
});

test("expires when nobody answers: time never approves", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await database.query(
    "UPDATE approvals SET expires_at = now() - interval '1 second' WHERE run_id = $1",
    [id],
  );

  const late = await setup.answer(id, "approved");
  await setup.advance(id);

  expect(late).toMatchObject({ kind: "closed", state: "expired" });
  expect(await stateOf(setup)).toBe("expired");
});

test("lets be what has resolved by itself, before and after the approval", async () => {
  const resolved = { status: "resolved", endsAt: "2026-11-21T03:05:00Z" } as const;
  const before = given(database, nextApp());
  const first = await waitingRun(before);
  await before.deliver([resolved]);
  await before.advance(first);

  const after = given(database, nextApp());
  const second = await waitingRun(after);
  await after.answer(second, "approved");
  await after.deliver([resolved]);
  await after.advance(second);

  expect([await stateOf(before), await stateOf(after)]).toEqual([
    "resolved_before_action",
    "resolved_before_action",
  ]);
  expect([...before.cluster.effects, ...after.cluster.effects]).toEqual([]);
  expect(await before.answer(first, "approved")).toMatchObject({
    kind: "closed",
    state: "cancelled",
  });
});

test("refuses somebody who is not an approver, and writes the attempt down", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);

  expect(await setup.answer(id, "approved", "mallory")).toMatchObject({ kind: "not_allowed" });

  expect(await stateOf(setup)).toBe("approval_pending");
  expect(await setup.events(id)).toContain("approval_denied");
});

test("does not execute when the object changed after the plan was made", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  setup.cluster.change({ generation: 2 });

  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "plan_stale", outcome: "the Deployment changed (generation 1 → 2)" },
  ]);
  expect(setup.cluster.effects).toEqual([]);
});

test.each([
  [
    "does not exist",
    (setup: Given) => {
      setup.cluster.remove();
    },
    /there is no Deployment shop\//,
  ],
  [
    "is paused",
    (setup: Given) => {
      setup.cluster.change({ paused: true });
    },
    /is paused/,
  ],
  [
    "is scaled to 0",
    (setup: Given) => {
      setup.cluster.change({ replicas: 0 });
    },
    /scaled to 0/,
  ],
])("asks nobody when the Deployment %s", async (_name, change, outcome) => {
  const setup = given(database, nextApp());
  change(setup);

  await waitingRun(setup);

  const [run] = await setup.runs();
  expect(run?.state).toBe("skipped_target");
  expect(run?.outcome).toMatch(outcome);
});

test("stays where it is while the cluster does not answer, and fails for good when it refuses", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  setup.cluster.failWith(new ClusterError("no answer", { retryable: true }));
  await expect(setup.advance(id)).rejects.toThrow("no answer");
  expect(await stateOf(setup)).toBe("intent");

  setup.cluster.failWith(
    new ClusterError('forbidden: cannot patch "deployments"', { retryable: false }),
  );
  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "failed", outcome: 'forbidden: cannot patch "deployments"' },
  ]);
});

test("never calls it a success when the alert goes on firing", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  await setup.advance(id, { verifySeconds: 0 });

  expect(await setup.runs()).toMatchObject([
    { state: "failed", outcome: expect.stringContaining("it did not help") },
  ]);
});

const NO_ANSWER = new ClusterError("no answer", { retryable: true });

async function letDeadlinePass(id: string): Promise<void> {
  await database.query("UPDATE runs SET deadline_at = now() - interval '1 second' WHERE id = $1", [
    id,
  ]);
}

test("ends when no plan could be made before the deadline", async () => {
  const setup = given(database, nextApp());
  await setup.deliver([{}]);
  const id = (await setup.runs())[0]?.id ?? "";
  setup.cluster.failWith(NO_ANSWER);
  await expect(setup.advance(id)).rejects.toThrow("no answer");
  await letDeadlinePass(id);

  await setup.advance(id);

  expect(await stateOf(setup)).toBe("failed");
});

test("does nothing after its deadline, and says that a person must look", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  setup.cluster.failWith(NO_ANSWER);
  await expect(setup.advance(id)).rejects.toThrow("no answer");
  await letDeadlinePass(id);
  setup.cluster.failWith(undefined);

  await setup.advance(id);

  expect(await stateOf(setup)).toBe("unknown");
  expect(setup.cluster.effects).toEqual([]);
});

test("is unknown, not failed, when the cluster cannot be asked whether it helped", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  await setup.advance(id);
  expect(await stateOf(setup)).toBe("verifying");
  setup.cluster.failWith(NO_ANSWER);

  await setup.advance(id);
  expect(await stateOf(setup)).toBe("verifying");
  await setup.advance(id, { verifySeconds: 0 });

  expect(await stateOf(setup)).toBe("unknown");
});

test("records the whole input of its decision", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);

  const { rows } = await database.query<{ decision: Record<string, unknown> }>(
    "SELECT decision FROM runs WHERE id = $1",
    [id],
  );

  expect(rows[0]?.decision).toMatchObject({
    code_version: "test",
    input: {
      alert: { trigger: "latency_p99", reason: "level_shift" },
      breakers: { target: { usedHour: 0 }, app: { usedHour: 0 } },
      switches: { dryRun: false },
    },
    input_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    policy_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    verdict: { kind: "act" },
  });
});
