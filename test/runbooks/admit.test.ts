import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, stateOf, waitingRun } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let apps = 0;
const nextApp = () => `app-${++apps}`;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test("one run for one episode, however often and by whomever it is told", async () => {
  const setup = given(database, nextApp());

  await setup.deliver([{}]);
  await setup.deliver([{}]);
  await setup.deliver([{ labels: { severity: "page" }, fingerprint: "other" }], {
    source: "alertmanager",
  });
  await setup.deliver([{ startsAt: "2026-11-21T02:00:00Z" }]);

  const runs = await setup.runs();
  expect(runs).toHaveLength(1);
  expect(await setup.events(runs[0]?.id ?? "")).toEqual(["request", "joined"]);
});

test("counts a body that came before as duplicate", async () => {
  const setup = given(database, nextApp());

  expect(await setup.deliver([{}])).toMatchObject({ accepted: 1, duplicate: 0 });
  expect(await setup.deliver([{}])).toMatchObject({ accepted: 0, duplicate: 1 });
});

test("a new incident of a target that was just handled waits until it has rested, and is looked at then", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "rejected");
  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:05:00Z" }]);

  await setup.deliver([{ startsAt: "2026-11-21T03:06:00Z" }]);
  expect(await setup.runs()).toHaveLength(1);
  expect(await setup.events(id)).toContain("postponed");

  await letTargetRest(id);
  await setup.admitWaiting();
  await setup.admitWaiting();

  expect((await setup.runs()).map(({ state }) => state)).toEqual(["rejected", "matched"]);
});

async function letTargetRest(runId: string): Promise<void> {
  await database.query("UPDATE runs SET finished_at = now() - interval '1 hour' WHERE id = $1", [
    runId,
  ]);
  await database.query("UPDATE episodes SET admit_at = now() WHERE admit_at IS NOT NULL");
}

test("an alert that resolved while its target rested starts nothing afterwards", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "rejected");
  await setup.deliver([{ fingerprint: `late-${id}`, startsAt: "2026-11-21T03:06:00Z" }]);
  await setup.deliver([
    { fingerprint: `late-${id}`, status: "resolved", endsAt: "2026-11-21T03:07:00Z" },
  ]);

  await letTargetRest(id);
  await setup.admitWaiting();

  expect(await setup.runs()).toHaveLength(1);
});

test("a resolved that is handled before its firing is remembered: the firing is known to be late", async () => {
  const setup = given(database, nextApp());

  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:05:00Z" }]);
  await setup.deliver([{ startsAt: "2026-11-21T03:00:00Z" }]);

  expect(await setup.runs()).toEqual([]);
});

test("an incident whose predecessor's end was never told is a new one", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "rejected");
  await database.query("UPDATE runs SET finished_at = now() - interval '2 days' WHERE id = $1", [
    id,
  ]);
  await database.query(
    "UPDATE episodes SET last_seen_at = now() - interval '2 days', first_starts_at = now() - interval '3 days' WHERE run_id = $1",
    [id],
  );

  await setup.deliver([{ startsAt: new Date(Date.now() - 60_000).toISOString() }]);

  expect((await setup.runs()).map(({ state }) => state)).toEqual(["rejected", "matched"]);
});

test("alerts about other clusters of the same Alertmanager start nothing, and leave a row that says why", async () => {
  const app = nextApp();
  const setup = given(database, app);

  for (const cluster of ["c1", "c2", "c3"]) {
    await setup.deliver([{ fingerprint: `${app}-${cluster}`, labels: { cluster } }]);
  }

  expect(await setup.runs()).toEqual([]);
  const { rows } = await database.query(
    "SELECT 1 FROM runbooks_audit WHERE event = 'skipped_target' AND detail->'labels'->>'app' = $1",
    [app],
  );
  expect(rows).toHaveLength(3);
});

test("a delivery that the database cannot read is set aside, and does not hold up the others", async () => {
  const setup = given(database, nextApp());

  await setup.deliver([{ fingerprint: randomBytes(30_000).toString("hex") }]);
  await setup.deliver([{}]);

  expect(await setup.runs()).toHaveLength(1);
  const { rowCount } = await database.query(
    "SELECT 1 FROM inbox WHERE error LIKE 'index row%' AND processed_at IS NOT NULL",
  );
  expect(rowCount).toBe(1);
});

test("a resolved that is older than the firing, and a late firing after the resolved, change nothing", async () => {
  const setup = given(database, nextApp());

  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T02:00:00Z" }]);
  await setup.deliver([{}]);
  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T02:30:00Z" }]);
  const id = (await setup.runs())[0]?.id ?? "";
  await setup.advance(id);
  await setup.advance(id);

  expect(await stateOf(setup)).toBe("approval_pending");
});

test("an alert for nobody's runbook, or without a possible target, is stored and starts nothing", async () => {
  const setup = given(database, nextApp());

  await setup.deliver([
    { labels: { alertname: "Other" } },
    { labels: { namespace: "../x" }, fingerprint: "b" },
  ]);

  expect(await setup.runs()).toEqual([]);
});

test("a hundred deliveries at the same time about one target make one run", async () => {
  const setup = given(database, nextApp());
  const alerts = Array.from({ length: 100 }, (_, index) => ({
    fingerprint: `f${index}`,
    labels: { pod: `p${index}` },
  }));

  await Promise.all(alerts.map(async (alert) => setup.deliver([alert])));

  expect(await setup.runs()).toHaveLength(1);
});
