import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { actionNames } from "../../runbooks/actions/index.ts";
import { fixedPolicy } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import { ClusterError } from "../../runbooks/types/cluster.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, stateOf, waitingRun, type Given } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let apps = 0;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** A run that may evict, approved. */
async function approvedEviction(rule = "restart_pods"): Promise<{ setup: Given; id: string }> {
  const text = `latency_p99:level_shift=${rule}`;
  const policy = fixedPolicy(parsePolicy(text, actionNames));
  const setup = given(database, `batch-${++apps}`, { policy });
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  return { setup, id };
}

const realEvictions = ({ cluster }: Given) => cluster.evictions.filter(({ dryRun }) => !dryRun);

async function pendingLook(id: string): Promise<number> {
  const { rows } = await database.query<{ seconds: string }>(
    "SELECT extract(epoch FROM look_at - now()) AS seconds FROM runs WHERE id = $1",
    [id],
  );
  return Number(rows[0]?.seconds);
}

test("goes one batch at a time, gives its worker back in between, and writes down how far it is", async () => {
  const { setup, id } = await approvedEviction();

  await setup.advance(id);
  expect(await stateOf(setup)).toBe("intent");
  expect(realEvictions(setup)).toHaveLength(1);
  await setup.advance(id);
  await setup.advance(id);

  expect(await stateOf(setup)).toBe("verifying");
  expect(new Set(realEvictions(setup).map(({ uid }) => uid)).size).toBe(3);
  expect(await setup.events(id)).toEqual([
    "request",
    "approval_pending",
    "approved",
    "intent",
    "progress",
    "progress",
    "progress",
    "executed",
  ]);
});

test("the kill switch stops it between two batches, and the outcome says how far it was", async () => {
  const { setup, id } = await approvedEviction();
  await setup.advance(id);
  await database.query("INSERT INTO kill_switches (scope, by_whom, reason) VALUES ($1, $2, $3)", [
    `shop/batch-${apps}`,
    "ana",
    "enough",
  ]);

  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "failed", outcome: expect.stringMatching(/^stopped after 1 evictions: .*enough/) },
  ]);
  expect(realEvictions(setup)).toHaveLength(1);
});

test("the kill switch stops it between two pods of one batch", async () => {
  const { setup, id } = await approvedEviction("restart_pods{batch=3}");
  const evict = setup.cluster.evict.bind(setup.cluster);
  setup.cluster.evict = async (target, request) => {
    const answer = await evict(target, request);
    await database.query("INSERT INTO kill_switches (scope, by_whom, reason) VALUES ($1, $2, $3)", [
      `shop/batch-${apps}`,
      "ana",
      "enough",
    ]);
    return answer;
  };

  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "failed", outcome: expect.stringMatching(/^stopped: .*enough.*\(a part is done\)$/) },
  ]);
  expect(realEvictions(setup)).toHaveLength(1);
});

test("a worker that lost its lease while it waited for the cluster evicts nothing more", async () => {
  const { setup, id } = await approvedEviction("restart_pods{batch=3}");
  const evict = setup.cluster.evict.bind(setup.cluster);
  setup.cluster.evict = async (target, request) => {
    await database.query("UPDATE runs SET lease_token = lease_token + 1 WHERE id = $1", [id]);
    return evict(target, request);
  };

  await setup.advance(id);

  expect(realEvictions(setup)).toHaveLength(1);
  expect(await stateOf(setup)).toBe("intent"); // it is the other worker's now
});

test("a worker that was held up, and lost its lease meanwhile, evicts nothing at all", async () => {
  const { setup, id } = await approvedEviction();
  const pods = setup.cluster.pods.bind(setup.cluster);
  setup.cluster.pods = async (target) => {
    await database.query("UPDATE runs SET lease_token = lease_token + 1 WHERE id = $1", [id]);
    return pods(target);
  };

  await setup.advance(id);

  expect(realEvictions(setup)).toEqual([]);
  expect(await stateOf(setup)).toBe("intent");
});

test("waits as long as the disruption budget asks, and ends pdb_blocked after five minutes", async () => {
  const { setup, id } = await approvedEviction();
  const blocked = { retryable: true, status: 429, reason: "pdb", retryAfterMs: 20_000 } as const;
  setup.cluster.failEvictionsWith(new ClusterError("the budget is used up", blocked));

  await setup.advance(id);
  expect(await stateOf(setup)).toBe("intent");
  expect(await pendingLook(id)).toBeGreaterThan(10);
  expect((await setup.events(id)).filter((event) => event === "progress")).toHaveLength(1);
  await database.query(
    `UPDATE runs SET progress = jsonb_set(progress, '{waitingSince}',
       to_jsonb((now() - interval '301 seconds')::text)) WHERE id = $1`,
    [id],
  );
  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "failed", outcome: expect.stringMatching(/^pdb_blocked: the budget is used up/) },
  ]);
});

test("what the server forbids is failed at once, with its own words", async () => {
  const { setup, id } = await approvedEviction();
  const refused = { retryable: false, status: 403, reason: "forbidden" } as const;
  setup.cluster.failEvictionsWith(new ClusterError("cannot create pods/eviction", refused));

  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "failed", outcome: "forbidden: cannot create pods/eviction" },
  ]);
});

test("keeps what was found out, and the recipe to take it back, with the run", async () => {
  const { id } = await approvedEviction("scale_up:+2");

  const { rows } = await database.query<{ preflight: object[]; rollback: string; plan: object }>(
    "SELECT preflight, rollback, plan FROM runs WHERE id = $1",
    [id],
  );

  expect(rows[0]).toMatchObject({
    preflight: [{ about: "replicas" }, { about: "dry-run", severity: "info" }],
    rollback: expect.stringContaining("--replicas=3"),
    plan: { action: "scale_up", argument: "+2", effect: { kind: "scale", from: 3, to: 5 } },
  });
});

test("nobody is asked about a plan that the preflight stops", async () => {
  const policy = fixedPolicy(parsePolicy("latency_p99:level_shift=scale_up:+2", actionNames));
  const setup = given(database, `batch-${++apps}`, { policy });
  setup.cluster.world.quotas.push({ name: "small", used: 9, hard: 10 });

  const id = await waitingRun(setup);

  expect(await setup.runs()).toMatchObject([
    { state: "skipped_target", outcome: expect.stringContaining("quota small has room for 1") },
  ]);
  expect(await setup.events(id)).toEqual(["request", "skipped_target"]);
});
