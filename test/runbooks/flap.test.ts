import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, slotsOf, type Given } from "./given.ts";

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

const MINUTES = 120;

/** The past moves back instead of the present forwards: the database's clock is the one that counts. */
async function passMinute(): Promise<void> {
  await database.query(
    `UPDATE runs SET created_at = created_at - interval '1 minute', updated_at = updated_at - interval '1 minute',
            state_since = state_since - interval '1 minute', finished_at = finished_at - interval '1 minute',
            deadline_at = deadline_at - interval '1 minute'`,
  );
  await database.query("UPDATE breaker_slots SET taken_at = taken_at - interval '1 minute'");
  await database.query(
    "UPDATE episodes SET admit_at = admit_at - interval '1 minute', last_seen_at = last_seen_at - interval '1 minute'",
  );
}

/** Everything that the service would do by itself, and a person who says yes to everything. */
async function work(setup: Given): Promise<void> {
  await setup.admitWaiting();
  for (const { id, state } of await setup.runs()) {
    if (/^(matched|collected|approved|intent|verifying|collecting)$/.test(state))
      await setup.advance(id);
    if ((await setup.runs()).find((run) => run.id === id)?.state !== "approval_pending") continue;
    await setup.answer(id, "approved");
    await setup.advance(id);
  }
}

test("an alert that comes and goes each minute for two hours leads to no more actions than the limit", async () => {
  const setup = given(database, "flapping");
  const begin = Date.now() - MINUTES * 60_000;

  for (let minute = 0; minute < MINUTES; minute++) {
    const startsAt = new Date(begin + minute * 60_000).toISOString();
    const endsAt = new Date(begin + minute * 60_000 + 30_000).toISOString();
    await setup.deliver([{ startsAt }]);
    await work(setup);
    await setup.deliver([{ status: "resolved", startsAt, endsAt }]);
    await work(setup);
    await passMinute();
  }

  const slots = await slotsOf("flapping", database);
  const effects = setup.cluster.effects.length;
  expect(effects).toBe(slots);
  expect(slots).toBeGreaterThan(0);
  expect(slots).toBeLessThanOrEqual(6); // 3 an hour
  const { rows } = await database.query<{ worst: number }>(
    `SELECT max((SELECT count(*) FROM breaker_slots b WHERE b.app_key = a.app_key
                    AND b.taken_at BETWEEN a.taken_at AND a.taken_at + interval '1 hour'))::int AS worst FROM breaker_slots a`,
  );
  expect(rows[0]?.worst).toBeLessThanOrEqual(3);
});
