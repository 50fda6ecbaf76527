import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { seenBefore } from "../../runbooks/seen-request.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test("a request is new once, and another one is new as well", async () => {
  expect(await seenBefore(database, "a", 60)).toBe(false);
  expect(await seenBefore(database, "a", 60)).toBe(true);
  expect(await seenBefore(database, "b", 60)).toBe(false);
});

test("a request whose transaction failed may come again", async () => {
  const failed = database.inTransaction(async (tx) => {
    await seenBefore(tx, "c", 60);
    throw new Error("not stored");
  });
  await expect(failed).rejects.toThrow("not stored");

  expect(await seenBefore(database, "c", 60)).toBe(false);
});

test("64 copies that come at once are one request", async () => {
  const seen = await Promise.all(
    Array.from({ length: 64 }, async () =>
      database.inTransaction(async (tx) => seenBefore(tx, "d", 60)),
    ),
  );

  expect(seen.filter((before) => !before)).toHaveLength(1);
});

test("what has expired is forgotten", async () => {
  await seenBefore(database, "e", 60);
  await database.query("UPDATE seen_requests SET expires_at = now() - interval '1 second'");

  expect(await seenBefore(database, "f", 60)).toBe(false);
  expect((await database.query("SELECT 1 FROM seen_requests")).rowCount).toBe(1);
  expect(await seenBefore(database, "e", 60)).toBe(false);
});
