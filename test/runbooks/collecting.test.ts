import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { findDueRuns } from "../../runbooks/ledger.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, stateOf, waitingRun } from "./given.ts";

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

test("a run waits for its diagnostics, gives its worker back meanwhile, and goes on when they are there", async () => {
  let complete = false;
  const collector = { begin: async () => true, settled: async () => complete };
  const setup = given(database, "slow", { collector });
  const id = await waitingRun(setup);
  expect(await stateOf(setup)).toBe("collecting");
  expect(await findDueRuns(database)).not.toContain(id);

  complete = true;
  await setup.advance(id);

  expect(await stateOf(setup)).toBe("approval_pending");
  expect(await setup.events(id)).toEqual([
    "request",
    "collector_started",
    "collector_finished",
    "approval_pending",
  ]);
});

test("diagnostics that do not come hold up no run for longer than 20 s", async () => {
  const collector = { begin: async () => true, settled: async () => false };
  const setup = given(database, "dead", { collector });
  const id = await waitingRun(setup);
  await database.query("UPDATE runs SET state_since = now() - interval '21 s' WHERE id = $1", [id]);

  await setup.advance(id);

  expect(await stateOf(setup)).toBe("approval_pending");
});

test("each line of a run's record makes a notice for the channels, in the same order", async () => {
  const setup = given(database, "told");
  const id = await waitingRun(setup);

  const { rows } = await database.query<{ event: string }>(
    `SELECT n.event FROM runbooks_notices n JOIN runbooks_audit a ON a.id = n.audit_id AND a.event = n.event
      WHERE n.run_id = $1 AND n.fanned_out_at IS NULL ORDER BY n.id`,
    [id],
  );

  expect(rows.map(({ event }) => event)).toEqual(await setup.events(id));
  expect(rows).toHaveLength(2);
});

test("a run that waits for its answer is looked at when it expires, or when its alerts have resolved", async () => {
  const setup = given(database, "waiting");
  const id = await waitingRun(setup);
  expect(await findDueRuns(database)).not.toContain(id);

  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:05:00Z" }]);
  expect(await findDueRuns(database)).toContain(id);

  const other = given(database, "expiring");
  const second = await waitingRun(other);
  await other.advance(second); // a look in between changes nothing
  const { rows } = await database.query(
    `SELECT 1 FROM runs r JOIN approvals a ON a.run_id = r.id
      WHERE r.id = $1 AND abs(extract(epoch FROM r.look_at - a.expires_at)) < 1`,
    [second],
  );
  expect(rows).toHaveLength(1);
});
