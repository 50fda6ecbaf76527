import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import { readDetectorConfig, startDetector, type Anomaly } from "../../detector/main.ts";
import type { Clock } from "../../lib/clock.ts";
import { systemClock } from "../../lib/clock.ts";
import type { AlertFrame } from "../../lib/contracts.ts";
import type { RunningService } from "../../lib/lifecycle.ts";
import { silentLog } from "../../lib/log.ts";
import { startFakePrometheus } from "../fakes/prometheus.ts";
import { createTestDatabase } from "../servers/postgres.ts";
import { flat, MINUTE, valuesOf } from "./given.ts";

const ZERO = Date.parse("2026-11-20T00:00:00Z");
const NOISE = valuesOf(flat, 3000, 2);
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A clock that stands until it is moved; sleepers wake when their time has come. */
function standingClock(start: number): Clock & { move(ms: number): void } {
  let now = start;
  const sleepers = new Set<() => void>();
  return {
    now: () => new Date(now),
    sleep: async (ms, signal) => {
      const due = now + ms;
      while (now < due && signal?.aborted !== true) {
        await new Promise<void>((resolve) => {
          sleepers.add(resolve);
          signal?.addEventListener(
            "abort",
            () => {
              resolve();
            },
            { once: true },
          );
        });
      }
    },
    move: (ms) => {
      now += ms;
      for (const wake of sleepers) wake();
      sleepers.clear();
    },
  };
}

interface World {
  readonly clock: ReturnType<typeof standingClock>;
  readonly posted: AlertFrame[];
  readonly anomalies: Anomaly[];
  readonly env: Record<string, string>;
  start(env?: Record<string, string>): Promise<RunningService & { readonly url: string }>;
  /** Moves the clock one minute at a time and waits for each cycle. */
  minutes(count: number, service: { readonly url: string }): Promise<void>;
}

async function given(shiftFrom: number): Promise<World> {
  const prometheus = await startFakePrometheus(() => [
    {
      labels: { namespace: "shop", app: "checkout" },
      value: (ms) =>
        (NOISE[(ms - ZERO) / MINUTE + 1000] ?? NaN) + (ms >= ZERO + shiftFrom * MINUTE ? 60 : 0),
    },
  ]);
  const posted: AlertFrame[] = [];
  const receiver = createServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      posted.push(JSON.parse(body) as AlertFrame);
      response.writeHead(202).end();
    })();
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  cleanups.push(
    async () => prometheus.stop(),
    async () => {
      receiver.closeAllConnections();
      await new Promise((resolve) => receiver.close(resolve));
    },
  );
  const anomalies: Anomaly[] = [];
  const clock = standingClock(ZERO);
  const base = {
    PROM_URL: prometheus.url,
    AIOPS_METRICS: "latency_p99=x",
    AIOPS_BACKFILL_POINTS: "600",
    AIOPS_WEBHOOK_URL: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alertmanager`,
    AIOPS_WEBHOOK_SECRET: "key",
    DETECTOR_PORT: "0",
  };
  return {
    clock,
    posted,
    anomalies,
    env: base,
    start: async (env = {}) => {
      const config = readDetectorConfig({ ...base, ...env });
      const service = await startDetector(config, silentLog, {
        clock,
        onAnomaly: (anomaly) => void anomalies.push(anomaly),
      });
      cleanups.push(async () => service.stop());
      await until(async () => (await cycles(service.url ?? "")) > 0);
      return { ...service, url: service.url ?? "" };
    },
    minutes: async (count, service) => {
      for (let minute = 0; minute < count; minute += 1) {
        const before = await cycles(service.url);
        clock.move(MINUTE);
        await until(async () => (await cycles(service.url)) > before);
      }
    },
  };
}

async function text(url: string, path: string): Promise<string> {
  return (await fetch(`${url}${path}`)).text();
}

async function cycles(url: string): Promise<number> {
  return Number(
    /aiops_cycle_duration_seconds_count\S* (\d+)/.exec(await text(url, "/metrics"))?.[1] ?? 0,
  );
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("did not happen within 10 s");
    await systemClock.sleep(10);
  }
}

test("from the query to the alert: metrics, listing, row and one post; a restart keeps the episode", async () => {
  const database = await createTestDatabase();
  cleanups.push(database.drop);
  const world = await given(5);
  const first = await world.start({ AIOPS_DATABASE_URL: database.url });
  await world.minutes(8, first);
  await until(async () => Promise.resolve(world.posted.length === 1));

  expect(world.posted[0]?.alerts[0]?.labels).toMatchObject({
    alertname: "AIOpsAnomalyDetected",
    metric: "latency_p99",
    reason: "level_shift",
    namespace: "shop",
    app: "checkout",
  });
  expect(await text(first.url, "/metrics")).toMatch(
    /aiops_anomaly_current\{[^}]*metric="latency_p99"[^}]*\} 1/,
  );
  expect((await fetch(`${first.url}/ready`)).status).toBe(200);
  expect(JSON.parse(await text(first.url, "/anomalies"))).toMatchObject({
    anomalies: [{ reason: "level_shift", openedAt: "2026-11-20T00:05:00.000Z", closedAt: null }],
  });
  await first.stop();

  const second = await world.start({ AIOPS_DATABASE_URL: database.url });
  expect(await text(second.url, "/metrics")).toMatch(
    /aiops_anomaly_info\{[^}]*reason="level_shift"[^}]*\} 1/,
  );
  await world.minutes(4, second);

  expect(world.posted).toHaveLength(1);
  expect(world.anomalies).toHaveLength(1);
});

test("without its database the detector scores and alerts on, and its health says so", async () => {
  const world = await given(5);
  const service = await world.start({ AIOPS_DATABASE_URL: "postgres://nobody@127.0.0.1:9/none" });
  await world.minutes(7, service);
  await until(async () => Promise.resolve(world.posted.length === 1));

  const health = JSON.parse(await text(service.url, "/health")) as {
    status: string;
    checks: Record<string, { ok: boolean }>;
  };
  expect(health.status).toBe("degraded");
  expect(health.checks).toMatchObject({ database: { ok: false }, prometheus: { ok: true } });
});

test("without a Prometheus it starts all the same, and says that it is not ready", async () => {
  const world = await given(5);
  const service = await world.start({ PROM_URL: "http://127.0.0.1:9" });

  const health = JSON.parse(await text(service.url, "/health")) as {
    checks: Record<string, unknown>;
  };
  expect(health.checks).toMatchObject({ prometheus: { ok: false }, history: { ok: false } });
  expect((await fetch(`${service.url}/ready`)).status).toBe(503);
});

test("a port that is taken ends the start with an error, and leaves nothing running", async () => {
  const world = await given(5);
  const first = await world.start();

  await expect(world.start({ DETECTOR_PORT: new URL(first.url).port })).rejects.toThrow(
    "EADDRINUSE",
  );
});
