import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { killedBy } from "../../runbooks/kill-switch.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, stateOf, waitingRun } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
beforeEach(async () => {
  await database.query("DELETE FROM kill_switches");
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

async function switchOff(scope: string, until: string | null = null): Promise<void> {
  await database.query(
    "INSERT INTO kill_switches (scope, by_whom, reason, until) VALUES ($1, 'ana', 'release', $2)",
    [scope, until],
  );
}

const CHECKOUT = { namespace: "shop", app: "checkout" };

test.each(["*", "shop", "shop/checkout"])("%s holds for shop/checkout", async (scope) => {
  await switchOff(scope);

  expect(await killedBy(CHECKOUT, database)).toEqual({ scope, by: "ana", reason: "release" });
});

test("one for others, or whose time is over, does not hold", async () => {
  await switchOff("shop/other");
  await switchOff("checkout");
  await switchOff("*", "2020-01-01T00:00:00Z");

  expect(await killedBy(CHECKOUT, database)).toBeNull();
});

test("of several the widest is named", async () => {
  await switchOff("shop/checkout");
  await switchOff("shop");

  expect((await killedBy(CHECKOUT, database))?.scope).toBe("shop");
});

test("nobody is asked while it holds, and an approval from before does not count", async () => {
  const approved = given(database, "approved");
  const id = await waitingRun(approved);
  await approved.answer(id, "approved");
  await switchOff("shop");
  await approved.advance(id);
  const fresh = given(database, "fresh");
  await waitingRun(fresh);

  expect(await stateOf(approved)).toBe("skipped_no_approval");
  expect(await fresh.runs()).toMatchObject([
    { state: "skipped_disabled", outcome: "ana switched shop off: release" },
  ]);
  expect(approved.cluster.effects).toEqual([]);
});
