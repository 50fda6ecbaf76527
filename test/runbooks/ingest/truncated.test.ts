import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../../lib/postgres.ts";
import { leaseRun, LeaseLost, moveRun } from "../../../runbooks/ledger.ts";
import type { Run } from "../../../runbooks/types/run.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { eventsOf, givenIntake } from "../given-intake.ts";

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

const two = [
  { fingerprint: "a", labels: { app: "a" } },
  { fingerprint: "b", labels: { app: "b" } },
];

async function ask(runId: string): Promise<void> {
  await database.query("UPDATE runs SET state = 'approval_pending' WHERE id = $1", [runId]);
  await database.query(
    "INSERT INTO approvals (id, run_id, plan_hash, expires_at) VALUES ($1, $1, 'h', now() + interval '1 hour')",
    [runId],
  );
}

test("a group that is cut ends its runs that have done nothing yet, also those of alerts that were cut off", async () => {
  const intake = givenIntake(database, "cut");
  await intake.deliver(
    two.map(({ fingerprint, labels }) => ({ fingerprint: `cut-${fingerprint}`, labels })),
  );
  const [first] = await intake.runs();
  await ask(first?.id ?? "");

  await intake.deliver([{ fingerprint: "cut-b", labels: { app: "b" } }], { truncated: 7 });

  expect((await intake.runs()).map(({ state }) => state)).toEqual([
    "skipped_truncated",
    "skipped_truncated",
  ]);
  const { rows } = await database.query("SELECT state FROM approvals WHERE id = $1", [first?.id]);
  expect(rows).toEqual([{ state: "cancelled" }]);
  expect((await eventsOf(database, "cut")).map(({ event }) => event)).toEqual([
    "request",
    "request",
    "skipped_truncated",
    "skipped_truncated",
  ]);
});

test("a run whose call to the cluster may have left goes on, and so do those of other groups and senders", async () => {
  const intake = givenIntake(database, "left");
  await intake.deliver([{ fingerprint: "left-a", labels: { app: "a" } }]);
  await database.query("UPDATE runs SET state = 'intent' WHERE namespace = 'left'");
  await intake.deliver([{ fingerprint: "left-b", labels: { app: "b" } }], { groupKey: "other" });
  await intake.deliver([{ fingerprint: "left-c", labels: { app: "c" } }], { source: "detector" });

  await intake.deliver([{ fingerprint: "left-a", labels: { app: "a" } }], { truncated: 1 });

  expect((await intake.runs()).map(({ state }) => state)).toEqual(["intent", "matched", "matched"]);
});

test("a worker that is at such a run loses it, and writes nothing", async () => {
  const intake = givenIntake(database, "worker");
  await intake.deliver([{}]);
  const [{ id } = { id: "" }] = await intake.runs();
  const run = await leaseRun({ id, owner: "worker", seconds: 30 }, database);

  await intake.deliver([{}], { truncated: 1 });

  const move = moveRun(run as Run, { state: "collected", audit: [] }, database);
  await expect(move).rejects.toThrow(LeaseLost);
  expect(await intake.runs()).toMatchObject([{ state: "skipped_truncated" }]);
});

test("an alert of a cut group that meets the run of another group ends that too", async () => {
  const intake = givenIntake(database, "meets");
  await intake.deliver([{ fingerprint: "meets-a" }], { groupKey: "other" });

  await intake.deliver([{ fingerprint: "meets-b" }], { truncated: 1 });

  expect(await intake.runs()).toMatchObject([{ state: "skipped_truncated" }]);
});

test("a new run of a cut group knows that it is cut, and so does one that had to wait for its target", async () => {
  const intake = givenIntake(database, "waits");
  await intake.deliver([{ fingerprint: "waits-a" }]);
  await database.query(
    "UPDATE runs SET state = 'failed', finished_at = now() WHERE namespace = 'waits'",
  );
  await intake.deliver([{ fingerprint: "waits-b" }]);
  await intake.deliver([{ fingerprint: "waits-c", labels: { app: "other" } }], { truncated: 1 });
  await database.query(
    "UPDATE runs SET finished_at = now() - interval '1 hour' WHERE namespace = 'waits' AND state = 'failed'",
  );
  await database.query("UPDATE episodes SET admit_at = now() WHERE admit_at IS NOT NULL");

  await intake.admitWaiting();

  const { rows } = await database.query(
    "SELECT app, trigger->'truncated' AS truncated FROM runs WHERE namespace = 'waits' AND finished_at IS NULL ORDER BY app",
  );
  expect(rows).toEqual([
    { app: "checkout", truncated: true },
    { app: "other", truncated: true },
  ]);
});

test("a whole delivery clears the group: the next alert of it is free", async () => {
  const intake = givenIntake(database, "whole");
  await intake.deliver([{ fingerprint: "whole-a", labels: { app: "a" } }], { truncated: 1 });
  await intake.deliver([{ fingerprint: "whole-b", labels: { app: "b" } }]);

  const { rows } = await database.query(
    "SELECT truncated_at FROM alert_groups JOIN episodes ON group_key_sha256 = key_sha256 WHERE fingerprint = 'whole-b'",
  );
  expect(rows).toEqual([{ truncated_at: null }]);
  expect((await intake.runs()).at(-1)).toMatchObject({ state: "matched" });
});
