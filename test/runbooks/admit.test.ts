import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, openTestDatabase, stateOf, waitingRun } from "./given.ts";

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

test("a new episode of a target that was just handled joins the old run (cooldown)", async () => {
  const setup = given(database, nextApp());
  const id = await waitingRun(setup);
  await setup.answer(id, "rejected");

  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:05:00Z" }]);
  await setup.deliver([{ startsAt: "2026-11-21T03:06:00Z" }]);

  expect(await setup.runs()).toHaveLength(1);
  expect(await setup.events(id)).toContain("joined");
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
