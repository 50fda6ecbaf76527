import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database, Queryable } from "../../../lib/postgres.ts";
import { admitOthers } from "../../../runbooks/admit.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { eventsOf, givenIntake, type GivenAlert } from "../given-intake.ts";

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

/** Alerts about so many apps, one after the other. */
function alertsAbout(count: number, apps: number, name: string): GivenAlert[] {
  return Array.from({ length: count }, (_, at) => ({
    fingerprint: `${name}-${at}`,
    labels: { app: `app-${at % apps}`, pod: `pod.${at}` },
  }));
}

/** The same database, with its statements counted. */
function counting(): { readonly database: Database; readonly statements: () => number } {
  let statements = 0;
  return {
    statements: () => statements,
    database: {
      ...database,
      inTransaction: async (work, options) =>
        database.inTransaction(async (tx) => {
          const counted: Queryable = {
            query: async (sql, values) => {
              statements += 1;
              return tx.query(sql, values);
            },
          };
          return work(counted);
        }, options),
    },
  };
}

test("5,000 alerts need as many statements as one, and open a run for each target", async () => {
  const [few, many] = [counting(), counting()];
  await givenIntake(few.database, "few").deliver(alertsAbout(2, 2, "few"));

  const intake = givenIntake(many.database, "many");
  await intake.deliver(alertsAbout(5_000, 7, "many"));

  expect(many.statements()).toBe(few.statements());
  expect(many.statements()).toBeLessThan(25);
  expect(await intake.runs()).toHaveLength(7);
  expect(intake.jobs.filter(({ queue }) => queue === "runbooks-run")).toHaveLength(7);
  const events = await eventsOf(database, "many");
  expect(events.map(({ event }) => event)).toEqual(Array(7).fill("request"));
  expect(events.reduce((sum, { detail }) => sum + Number(detail["alerts"]), 0)).toBe(5_000);
});

test("5,000 alerts about 5,000 targets open 5,000 runs in the same number of statements", async () => {
  const many = counting();
  const intake = givenIntake(many.database, "targets");

  await intake.deliver(alertsAbout(5_000, 5_000, "targets"));

  expect(many.statements()).toBeLessThan(25);
  expect(await intake.runs()).toHaveLength(5_000);
});

test("deliveries with the same alerts in other orders do not wait for each other for ever", async () => {
  const intake = givenIntake(database, "orders");
  const alerts = alertsAbout(200, 20, "orders");
  const told = Array.from({ length: 16 }, (_, at) => {
    const turned = [...alerts.slice(at * 12), ...alerts.slice(0, at * 12)];
    return at % 2 === 0 ? turned : turned.reverse();
  });

  await Promise.all(told.map(async (delivery) => intake.deliver(delivery)));

  expect(await intake.runs()).toHaveLength(20);
  expect((await eventsOf(database, "orders")).map(({ event }) => event)).toEqual(
    Array(20).fill("request"),
  );
});

test("an alert that is told twice in one delivery counts once, as it was told last", async () => {
  const intake = givenIntake(database, "twice");

  await intake.deliver([
    { startsAt: "2026-11-21T03:00:00Z" },
    { startsAt: "2026-11-21T02:00:00Z" },
    { status: "resolved", startsAt: "2026-11-21T01:00:00Z", endsAt: "2026-11-21T01:30:00Z" },
  ]);

  const { rows } = await database.query(
    "SELECT first_starts_at, resolved_at FROM episodes WHERE fingerprint = 'twice-1' ORDER BY id",
  );
  expect(rows).toEqual([
    {
      first_starts_at: new Date("2026-11-21T01:00:00Z"),
      resolved_at: new Date("2026-11-21T01:30:00Z"),
    },
    { first_starts_at: new Date("2026-11-21T03:00:00Z"), resolved_at: null },
  ]);
});

test("two senders that tell of the same fault make one run, which names both", async () => {
  const intake = givenIntake(database, "senders");

  await intake.deliver([{ fingerprint: "a" }], { source: "detector" });
  await intake.deliver([{ fingerprint: "b", labels: { alertname: "AIOpsAnomalyDetected" } }]);
  await intake.deliver([{ fingerprint: "c" }]);

  expect(await intake.runs()).toMatchObject([{ sources: ["detector", "alertmanager"] }]);
});

test("an alert that comes back is counted: this is its third time", async () => {
  const intake = givenIntake(database, "again");
  for (const hour of ["01", "02", "03"]) {
    await intake.deliver([{ startsAt: `2026-11-21T${hour}:00:00Z` }]);
    await intake.deliver([{ status: "resolved", endsAt: `2026-11-21T${hour}:30:00Z` }]);
  }

  const { rows } = await database.query(
    "SELECT opened, resolved_by FROM episodes WHERE fingerprint = 'again-1' ORDER BY id",
  );
  expect(rows).toEqual([1, 2, 3].map((opened) => ({ opened, resolved_by: "sender" })));
});

test("an end in the future counts as now, and does not hide the next firing", async () => {
  const intake = givenIntake(database, "future");
  await intake.deliver([{ status: "resolved", endsAt: "2999-01-01T00:00:00Z" }]);

  await intake.deliver([{ startsAt: new Date(Date.now() + 60_000).toISOString() }]);

  expect(await intake.runs()).toHaveLength(1);
});

test("alerts that no run comes of leave one row for each reason, and nothing when they are repeated", async () => {
  const intake = givenIntake(database, "nothing");
  const alerts = Array.from({ length: 50 }, (_, at) => ({
    fingerprint: `nothing-${at}`,
    labels: { cluster: at < 49 ? "other" : "third" },
  }));

  await intake.deliver(alerts);
  await intake.deliver([...alerts].reverse());

  expect(await eventsOf(database, "nothing")).toMatchObject([
    { event: "skipped_target", detail: { alerts: 49 } },
    { event: "skipped_target", detail: { alerts: 1 } },
  ]);
});

test("a sender that speaks for a namespace that is not its own starts nothing, and leaves a row", async () => {
  const intake = givenIntake(database, "foreign", { sourceNamespacesOf: () => ["own"] });

  await intake.deliver([{}]);

  expect(await intake.runs()).toEqual([]);
  expect(await eventsOf(database, "foreign")).toMatchObject([
    { event: "skipped_not_allowed", detail: { why: "alertmanager may not speak for foreign" } },
  ]);
});

test("Grafana's word that it has no data starts nothing", async () => {
  const intake = givenIntake(database, "nodata");

  await intake.deliver([{ labels: { alertname: "DatasourceNoData", metric: "any" } }]);

  expect(await intake.runs()).toEqual([]);
  expect(await eventsOf(database, "nodata")).toMatchObject([{ event: "skipped_target" }]);
});

test("a delivery whose job has not come yet is looked at by the job of another, and a broken one fails only its own", async () => {
  const intake = givenIntake(database, "others");
  await intake.store([{}]);
  await admitOthers(intake.deps);
  expect(await intake.runs()).toHaveLength(1);

  await intake.store([{ fingerprint: "others-2" }]);
  const failing = async () => Promise.reject(new Error("no connection"));

  await expect(
    admitOthers({ ...intake.deps, database: { ...database, inTransaction: failing } }),
  ).resolves.toBeUndefined();
});
