import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { deleteExpired, retainUntil } from "../../runbooks/retention.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenIntake } from "./given-intake.ts";

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

const days = { inboxDays: 30, episodeDays: 400 };
const deps = () => ({ database, clock: systemClock, log: silentLog, ...days });

async function old(table: string, name: string): Promise<void> {
  await database.query(
    table === "inbox"
      ? `INSERT INTO inbox (source, body_sha256, raw, processed_at)
         SELECT 's', $1 || n, '', now() - interval '31 days' FROM generate_series(1, 2500) n`
      : `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at, resolved_at)
         SELECT 's', $1 || n, '{}', '{}', now(), now(), now() - interval '401 days' FROM generate_series(1, 2500) n`,
    [name],
  );
}

test("what is too old is deleted, in more than one batch, and nothing else is", async () => {
  const intake = givenIntake(database, "kept");
  await intake.deliver([{}]);
  await intake.store([{ fingerprint: "kept-2" }]);
  await database.query(
    "UPDATE episodes SET first_starts_at = now() - interval '500 days' WHERE fingerprint = 'kept-1'",
  );
  await database.query("UPDATE inbox SET received_at = now() - interval '90 days'");
  await old("inbox", "a");
  await old("episodes", "a");
  await database.query("UPDATE alert_groups SET seen_at = now() - interval '31 days'");

  const deleted = await deleteExpired(new AbortController().signal, deps());

  expect(deleted).toEqual({ inbox: 2500, episodes: 2500, groups: 1 });
  const { rows } = await database.query(
    "SELECT (SELECT count(*)::int FROM inbox) AS inbox, (SELECT count(*)::int FROM episodes) AS episodes",
  );
  expect(rows).toEqual([{ inbox: 2, episodes: 1 }]);
});

test("it begins at once, and ends when it is told to", async () => {
  await old("inbox", "b");
  const stop = new AbortController();

  const retaining = retainUntil(stop.signal, deps());
  await waitUntil("the deletion", async () => {
    const { rowCount } = await database.query("SELECT 1 FROM inbox WHERE body_sha256 LIKE 'b%'");
    return rowCount === 0;
  });
  stop.abort();

  await expect(retaining).resolves.toBeUndefined();
});
