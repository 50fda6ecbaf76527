import { afterEach, expect, test } from "@jest/globals";
import { readDetectorConfig, startDetector } from "../../detector/main.ts";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { cleanups as worldCleanups, givenService, text, until } from "../detector/given-service.ts";
import { fakeClock } from "../fakes/clock.ts";
import { noiseAt } from "../fakes/metrics-target.ts";
import { startFakePrometheus } from "../fakes/prometheus.ts";
import { startPrivatePostgres } from "../servers/postgres.ts";

const MINUTE = 60_000;
/** Of the queue of feature rows, as in feature-log.ts. */
const WAITING_ROWS_MAX = 100_000;
const SERIES = 4_000;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function counter(url: string, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await text(url, "/metrics"))?.[1] ?? 0);
}
const rows = (result: string) =>
  new RegExp(`^aiops_feature_rows_total\\{result="${result}"[^}]*\\} (\\d+)$`, "m");
const cycles = /^aiops_cycle_duration_seconds_count\S* (\d+)$/m;
const scored = /^aiops_series_scored_total\S* (\d+)$/m;

test("while the database is gone scoring and telling go on; afterwards every row of that time is there, once", async () => {
  const postgres = await startPrivatePostgres();
  // Before the world's cleanup, which stops the detector: the server must outlive it.
  worldCleanups.push(async () => postgres.remove());
  await migrate(postgres.url, silentLog);
  const world = await givenService(6);
  const env = { AIOPS_DATABASE_URL: postgres.url, AIOPS_FEATURES: "on" };
  const { url } = await world.start(env);
  await world.minutes(2, { url });

  await postgres.stop("immediate");
  const before = await counter(url, scored);
  await world.minutes(7, { url });
  await until(async () => Promise.resolve(world.posted.length === 1));
  expect((await counter(url, scored)) - before).toBe(7);
  const ready = await fetch(`${url}/ready`);
  expect([ready.status, await ready.text()]).toEqual([
    503,
    expect.stringContaining("does not answer"),
  ]);
  expect((await fetch(`${url}/anomalies`)).status).toBe(503);

  await postgres.start();
  await world.minutes(1, { url });
  const written = async () =>
    world.sql(
      postgres.url,
      "SELECT extract(minute FROM time)::int AS minute, count(*)::int FROM aiops_features WHERE metric = 'latency_p99' AND time >= '2026-11-20T00:01:00Z' GROUP BY 1 ORDER BY 1",
    );
  await until(async () => (await written()).length >= 10);

  expect(await written()).toEqual(
    Array.from({ length: 10 }, (_, index) => ({ minute: index + 1, count: 1 })),
  );
  expect(await counter(url, rows("dropped"))).toBe(0);
  expect(await world.sql(postgres.url, "SELECT reason, closed_at FROM aiops_anomalies")).toEqual([
    { reason: "level_shift", closed_at: null },
  ]);
  await world.minutes(2, { url });
  expect(world.posted).toHaveLength(1);
  await until(async () => (await fetch(`${url}/ready`)).status === 200);
});

test("a queue of feature rows that grows too long loses its oldest, says how many, and scoring goes on", async () => {
  const series = Array.from({ length: SERIES }, (_, index) => ({
    labels: { pod: `pod-${index}` },
    value: (ms: number) => 100 + 3 * noiseAt(ms / MINUTE + 7 * index),
  }));
  const prometheus = await startFakePrometheus(() => series);
  cleanups.push(async () => prometheus.stop());
  const clock = fakeClock("2026-11-20T00:00:00Z");
  const config = readDetectorConfig({
    PROM_URL: prometheus.url,
    AIOPS_METRICS: "many=x",
    AIOPS_BACKFILL_POINTS: "0",
    AIOPS_DATABASE_URL: "postgres://nobody@127.0.0.1:9/none",
    AIOPS_FEATURES: "on",
    DETECTOR_PORT: "0",
  });
  const service = await startDetector(config, silentLog, { clock });
  cleanups.push(async () => service.stop());
  const url = service.url ?? "";
  const minutes = Math.ceil(WAITING_ROWS_MAX / SERIES) + 2;

  for (let minute = 1; minute <= minutes; minute += 1) {
    const before = await counter(url, cycles);
    await clock.advance(MINUTE);
    // A cycle that has not ended would take the next minute along, and keep only the newest rows.
    await until(async () => (await counter(url, cycles)) > before);
    expect(await counter(url, scored)).toBeGreaterThanOrEqual(minute * SERIES);
  }

  // The rows of a cycle are kept after its points were counted.
  await until(async () => (await counter(url, rows("dropped"))) > 0);
  expect(await counter(url, rows("dropped"))).toBe(WAITING_ROWS_MAX / 10);
  expect(await counter(url, rows("written"))).toBe(0);
  expect((await fetch(`${url}/health`)).status).toBe(200);
});
