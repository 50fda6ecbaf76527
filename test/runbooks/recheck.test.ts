import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { actionNames } from "../../runbooks/actions/index.ts";
import { fixedPolicy } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import type { Health } from "../../runbooks/types/verify.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, waitingRun } from "./given.ts";

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

test.each<[kind: Health["kind"], rule: string, state: string, effects: number]>([
  ["healthy", "rollout_restart", "resolved_before_action", 0],
  ["healthy", "rollout_restart{recheck=off}", "verifying", 1],
  ["sick", "rollout_restart", "verifying", 1],
  ["no data", "rollout_restart", "verifying", 1],
  ["unknown", "rollout_restart", "verifying", 1],
  ["not asked", "rollout_restart", "verifying", 1],
])("a metric that is %s after the approval of %s: %s", async (kind, rule, state, effects) => {
  const policy = fixedPolicy(parsePolicy(`latency_p99:level_shift=${rule}`, actionNames));
  const verifier = { healthy: async () => ({ kind, text: "the metric is well" }) };
  const setup = given(database, `recheck-${++apps}`, { policy, verifier });
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");

  await setup.advance(id);

  expect((await setup.runs())[0]?.state).toBe(state);
  expect(setup.cluster.effects).toHaveLength(effects);
});
