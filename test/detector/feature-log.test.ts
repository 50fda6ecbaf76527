import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openFeatureTable } from "../../detector/adapters/feature-table.ts";
import { FeatureLog } from "../../detector/feature-log.ts";
import type { FeatureRow, FeatureTable } from "../../detector/types/store.ts";
import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { fakeClock } from "../fakes/clock.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenService, until } from "./given-service.ts";

const MIDNIGHT = Date.parse("2026-11-20T00:00:00Z");
const DAY = 24 * 3_600_000;

let server: TestDatabase;
let database: Database;
beforeAll(async () => {
  server = await createTestDatabase();
  database = openTestDatabase(server.url);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

const row = (time: number, change: Partial<FeatureRow> = {}): FeatureRow => ({
  time,
  metric: "latency",
  series: "0123456789ab",
  value: 0.1 + 0.2,
  features: [0, 0.5, 1],
  score: 0.25,
  ...change,
});

function given(table: FeatureTable, waitingMax?: number) {
  const counts = { written: 0, dropped: 0 };
  const log = new FeatureLog({
    table,
    retentionDays: 7,
    metrics: { featureRows: (result, rows) => void (counts[result] += rows) },
    log: silentLog,
    clock: fakeClock("2026-11-20T12:00:00Z"),
    ...(waitingMax === undefined ? {} : { waitingMax }),
  });
  return { log, counts };
}

async function partitions(): Promise<readonly string[]> {
  const { rows } = await database.query<{ name: string }>(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'aiops_features'::regclass ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

test("rows are copied into the partition of their day, bit by bit; a new day makes its own", async () => {
  const { log, counts } = given(openFeatureTable(database));
  const hostile = row(MIDNIGHT, { metric: "a\tb\\N\n", value: -1e-300 });

  for (const one of [row(MIDNIGHT - 1), row(MIDNIGHT), hostile]) log.add(one);
  await log.flush();

  expect(counts).toEqual({ written: 3, dropped: 0 });
  expect(await partitions()).toEqual(["aiops_features_20261119", "aiops_features_20261120"]);
  const { rows } = await database.query("SELECT * FROM aiops_features ORDER BY time, metric");
  expect(rows).toEqual([
    { ...row(0), time: new Date(MIDNIGHT - 1) },
    { ...hostile, time: new Date(MIDNIGHT) },
    { ...row(0), time: new Date(MIDNIGHT) },
  ]);
});

test("days beyond the retention are dropped whole, and can be written again", async () => {
  const table = openFeatureTable(database);
  await table.write([row(MIDNIGHT - 9 * DAY), row(MIDNIGHT - 7 * DAY)]);
  const { log } = given(table);

  log.start();
  await until(async () => !(await partitions()).includes("aiops_features_20261111"));
  await log.stop();

  expect(await partitions()).toContain("aiops_features_20261113");
  await table.write([row(MIDNIGHT - 9 * DAY)]);
  expect(await partitions()).toContain("aiops_features_20261111");
});

test("two replicas at midnight make one partition", async () => {
  const tables = [openFeatureTable(database), openFeatureTable(database)];

  await Promise.all(tables.map(async (table) => table.write([row(MIDNIGHT + 3 * DAY)])));

  expect(await partitions()).toContain("aiops_features_20261123");
});

test("a role that may not create tables makes and drops days all the same, by the two functions", async () => {
  const role = `features_${randomUUID().replaceAll("-", "")}`;
  await database.query(`CREATE ROLE ${role}`);
  await database.query(`GRANT SELECT, INSERT ON aiops_features TO ${role}`);
  const asRole = openDatabase(
    { url: `${server.url}?options=-c%20role%3D${role}`, applicationName: "test-detector" },
    silentLog,
  );
  try {
    const table = openFeatureTable(asRole);
    await expect(table.write([row(MIDNIGHT + 30 * DAY)])).rejects.toThrow("permission denied");
    await database.query(
      `GRANT EXECUTE ON FUNCTION aiops_features_add_day(date), aiops_features_drop_before(date) TO ${role}`,
    );

    await table.write([row(MIDNIGHT + 30 * DAY)]);

    expect(await partitions()).toContain("aiops_features_20261220");
    await expect(asRole.query("CREATE TABLE mine ()")).rejects.toThrow("permission denied");
  } finally {
    await asRole.close();
    await database.query(`DROP OWNED BY ${role}`);
    await database.query(`DROP ROLE ${role}`);
  }
});

test("while the database is down rows wait; the oldest are dropped and counted, the rest is written later", async () => {
  let down = true;
  const written: number[] = [];
  const { log, counts } = given(
    {
      write: async (rows) => {
        if (down) throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
        written.push(...rows.map(({ time }) => time));
      },
      dropBefore: async () => 0,
    },
    100,
  );
  for (let time = 0; time < 125; time += 1) log.add(row(time));
  await log.flush();
  expect(log.waiting).toBeLessThanOrEqual(100);
  expect(counts).toEqual({ written: 0, dropped: 125 - log.waiting });

  down = false;
  await log.flush();

  expect(written).toEqual(Array.from({ length: counts.written }, (_, i) => i + counts.dropped));
  expect(counts.written + counts.dropped).toBe(125);
});

test("a batch that the database refuses for good does not block those after it", async () => {
  const { log, counts } = given({
    write: async () => Promise.reject(Object.assign(new Error("no"), { code: "22P02" })),
    dropBefore: async () => 0,
  });
  log.add(row(1));

  await log.flush();

  expect([log.waiting, counts]).toEqual([0, { written: 0, dropped: 1 }]);
});

test("the service keeps each live point when AIOPS_FEATURES is on, and none when it is off", async () => {
  const world = await givenService(5);
  const base = { AIOPS_DATABASE_URL: server.url, AIOPS_METRICS: "kept=x" };
  const off = await world.start({ ...base, AIOPS_METRICS: "off=x" });
  const on = await world.start({ ...base, AIOPS_FEATURES: "on" });
  await world.minutes(3, on);
  await on.stop();
  await off.stop();

  const { rows } = await database.query<{ metric: string; width: number; time: Date }>(
    "SELECT metric, time, cardinality(features) AS width FROM aiops_features WHERE metric IN ('kept', 'off') ORDER BY time",
  );

  expect(rows.map(({ metric }) => metric)).toEqual(rows.map(() => "kept"));
  expect(rows.slice(-3).map(({ time }) => time.toISOString().slice(11, 16))).toEqual([
    "00:01",
    "00:02",
    "00:03",
  ]);
  expect(rows[0]?.width).toBe(7);
});
