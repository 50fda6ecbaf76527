import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "@jest/globals";
import { readDetectorConfig, startDetector, type Anomaly } from "../../detector/main.ts";
import { silentLog } from "../../lib/log.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { noiseAt } from "../fakes/metrics-target.ts";
import { startFakePrometheus, type FakePrometheus } from "../fakes/prometheus.ts";

const SKEW_MS = 5 * 60_000;
/** More steps than make a series absent. */
const SKEWED_FOR_MS = 6_000;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface World {
  readonly prometheus: FakePrometheus;
  readonly anomalies: readonly Anomaly[];
  readonly readiness: () => Promise<string>;
  readonly scored: () => Promise<number>;
}

/** A detector on the wall clock, a point every second, and a Prometheus that knows nothing of its own future. */
async function given(clockBehindMs: number): Promise<World> {
  const prometheus: FakePrometheus = await startFakePrometheus(() => [
    {
      labels: { app: "shop" },
      value: (ms) =>
        ms > Date.now() - prometheus.clockBehindMs ? undefined : 100 + 3 * noiseAt(ms / 1000),
    },
  ]);
  prometheus.clockBehindMs = clockBehindMs;
  cleanups.push(async () => prometheus.stop());
  const anomalies: Anomaly[] = [];
  const config = readDetectorConfig({
    PROM_URL: prometheus.url,
    AIOPS_METRICS: "latency=x",
    AIOPS_INTERVAL_SECONDS: "1",
    AIOPS_BACKFILL_POINTS: "400",
    DETECTOR_PORT: "0",
  });
  const onAnomaly = (anomaly: Anomaly) => void anomalies.push(anomaly);
  const service = await startDetector(config, silentLog, { onAnomaly });
  cleanups.push(async () => service.stop());
  const get = async (path: string) => (await fetch(`${service.url ?? ""}${path}`)).text();
  return {
    prometheus,
    anomalies,
    readiness: async () => {
      const { ready, checks } = JSON.parse(await get("/ready")) as {
        ready: boolean;
        checks: { prometheus: { detail: string } };
      };
      return ready ? "ready" : checks.prometheus.detail;
    },
    scored: async () =>
      Number(/^aiops_series_scored_total\S* (\d+)$/m.exec(await get("/metrics"))?.[1] ?? 0),
  };
}

test("what a Prometheus five minutes behind us does not know yet is asked again, and no series is called absent", async () => {
  const { prometheus, anomalies, readiness, scored } = await given(0);
  await waitUntil("the past", async () => (await readiness()) === "ready");

  prometheus.clockBehindMs = SKEW_MS;
  await waitUntil("the fault", async () => (await readiness()) !== "ready");
  const [before, since] = [await scored(), performance.now()];
  expect(await readiness()).toContain(
    "latency: unavailable Prometheus' clock is more than 30 s behind ours",
  );
  await sleep(SKEWED_FOR_MS);
  expect(await scored()).toBe(before);
  prometheus.clockBehindMs = 0;
  await waitUntil("the end", async () => (await readiness()) === "ready");

  const seconds = Math.floor((performance.now() - since) / 1000);
  expect((await scored()) - before).toBeGreaterThanOrEqual(seconds - 1);
  expect(anomalies).toEqual([]);
});

test("a Prometheus five minutes ahead of us knows all that we ask for", async () => {
  const { anomalies, readiness, scored } = await given(-SKEW_MS);
  await waitUntil("the past", async () => (await readiness()) === "ready");
  const before = await scored();

  await sleep(SKEWED_FOR_MS);

  expect(await readiness()).toBe("ready");
  expect((await scored()) - before).toBeGreaterThanOrEqual(4);
  expect(anomalies).toEqual([]);
});
