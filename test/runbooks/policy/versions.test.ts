import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { Database } from "../../../lib/postgres.ts";
import { parsePolicy } from "../../../runbooks/policy/parse.ts";
import { recordPolicy, storedPolicy } from "../../../runbooks/policy/versions.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
beforeEach(async () => {
  await database.query("TRUNCATE policy_state, policy_versions");
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const ACTIONS = new Set(["rollout_restart", "restart_pods"]);
const OLD = parsePolicy("crash=rollout_restart", ACTIONS);
const NEW = parsePolicy("crash=restart_pods", ACTIONS);

async function changes(): Promise<readonly object[]> {
  const { rows } = await database.query<{ actor: string; detail: object }>(
    "SELECT actor, detail FROM runbooks_audit WHERE event = 'policy_changed' ORDER BY id",
  );
  return rows;
}

test("keeps what is in force for those who cannot read the cluster, and the way there in the record", async () => {
  const before = (await changes()).length;
  await recordPolicy({ kind: "read", document: OLD, changedBy: undefined, isNew: true }, database);
  await recordPolicy({ kind: "read", document: NEW, changedBy: "eva", isNew: true }, database);
  await recordPolicy({ kind: "read", document: NEW, changedBy: "eva", isNew: false }, database);

  expect(await storedPolicy(database)).toMatchObject({
    document: JSON.parse(JSON.stringify(NEW)) as object,
    changedBy: "eva",
    problem: null,
  });
  expect((await changes()).slice(before)).toEqual([
    { actor: "env", detail: { from: null, to: OLD.sha256, source: "env" } },
    { actor: "eva", detail: { from: OLD.sha256, to: NEW.sha256, source: "env" } },
  ]);
});

test("a problem stands beside the last good policy until it can be read again", async () => {
  await recordPolicy({ kind: "read", document: OLD, changedBy: undefined, isNew: true }, database);
  await recordPolicy({ kind: "problem", problem: "forbidden" }, database);

  expect(await storedPolicy(database)).toMatchObject({
    document: { sha256: OLD.sha256 },
    problem: "forbidden",
  });

  await recordPolicy({ kind: "read", document: OLD, changedBy: undefined, isNew: false }, database);
  expect(await storedPolicy(database)).toMatchObject({ problem: null });
});

test("before anything was read there is no policy, only the problem", async () => {
  expect(await storedPolicy(database)).toEqual({ document: undefined, problem: null });

  await recordPolicy({ kind: "problem", problem: "forbidden" }, database);

  expect(await storedPolicy(database)).toEqual({ document: undefined, problem: "forbidden" });
});
