import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { sweepUntil } from "../../runbooks/sweep.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given } from "./given.ts";

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

test("a run that fails whenever it is looked at, and a delivery likewise, hold up no others", async () => {
  for (const app of ["first", "second", "third"]) await given(database, app).deliver([{}]);
  await database.query("UPDATE runs SET look_at = now() - interval '1 minute'");
  await database.query(
    "UPDATE inbox SET processed_at = NULL, received_at = now() - interval '1 minute'",
  );
  const looked: string[] = [];
  const stop = new AbortController();
  const failing = async (id: string) => {
    looked.push(id);
    if (looked.length >= 6) stop.abort();
    throw new Error("no");
  };

  await sweepUntil(stop.signal, {
    database,
    clock: systemClock,
    log: silentLog,
    admit: failing,
    admitEpisode: failing,
    advance: failing,
    inboxWaiting: (deliveries) => {
      expect(deliveries).toBe(3);
    },
  });

  expect(looked).toHaveLength(6);
});
