import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { noiseAt } from "../fakes/metrics-target.ts";
import { startFakePrometheus, type FakePrometheus } from "../fakes/prometheus.ts";

const SERIES = 3_000;
const BACKFILL = 60;
const STEP_SECONDS = 5;
/** 40 kB for each series, the program itself, and one answer of 10 MB as text and as objects. */
const MEMORY_MAX_BYTES = 768 * 1024 * 1024;

let prometheus: FakePrometheus;
let detector: FettleProcess;

beforeAll(async () => {
  const series = Array.from({ length: SERIES }, (_, index) => ({
    labels: { pod: `pod-${index}`, filler: "x".repeat(3_000) },
    value: (ms: number) => 100 + 3 * noiseAt(ms / 1000 + 7 * index),
  }));
  prometheus = await startFakePrometheus(() => series);
  detector = await startFettle("detector", "DETECTOR_PORT", {
    PROM_URL: prometheus.url,
    AIOPS_METRICS: "many=x",
    AIOPS_INTERVAL_SECONDS: String(STEP_SECONDS),
    AIOPS_BACKFILL_POINTS: String(BACKFILL),
  });
});

afterAll(async () => {
  await detector.stop();
  await prometheus.stop();
});

/** How long the text of the answer to a recorded question is. */
async function lengthOf(form: URLSearchParams): Promise<number> {
  const answer = await fetch(`${prometheus.url}/api/v1/query_range`, {
    method: "POST",
    body: form,
  });
  return (await answer.text()).length;
}

test("an answer of ten megabytes is read and scored, series by series, in bounded memory", async () => {
  const [first] = prometheus.requests;
  expect(await lengthOf(first?.form ?? new URLSearchParams())).toBeGreaterThan(10_000_000);

  const metric = async (pattern: RegExp) =>
    Number(pattern.exec(await (await fetch(`${detector.url}/metrics`)).text())?.[1] ?? 0);
  await waitUntil("two more points of each series", async () => {
    return (await metric(/^aiops_series_scored_total\S* (\S+)$/m)) >= SERIES * (BACKFILL + 2);
  });

  const metrics = await (await fetch(`${detector.url}/metrics`)).text();
  expect(metrics.match(/^aiops_anomaly_score\{/gm)).toHaveLength(SERIES);
  expect(metrics).not.toMatch(/^aiops_(query_errors|series_refused)_total\{/m);
  expect(await metric(/^process_resident_memory_bytes\S* (\S+)$/m)).toBeLessThan(MEMORY_MAX_BYTES);
  const ready = await fetch(`${detector.url}/ready`);
  expect(ready.status).toBe(200);
  const page = await (await fetch(`${detector.url}/`)).text();
  expect(page.length).toBeLessThan(100 * 1024);
});
