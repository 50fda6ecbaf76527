import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "@jest/globals";
import { readDetectorConfig, startDetector, type Anomaly } from "../../detector/main.ts";
import type { Clock } from "../../lib/clock.ts";
import { systemClock } from "../../lib/clock.ts";
import type { AlertFrame } from "../../lib/contracts.ts";
import type { RunningService } from "../../lib/lifecycle.ts";
import { silentLog } from "../../lib/log.ts";
import { startFakePrometheus, type FakePrometheus } from "../fakes/prometheus.ts";
import { flat, MINUTE, valuesOf } from "./given.ts";
import { PATIENCE_MS } from "../fakes/fettle.ts";
import { openTestDatabase } from "../servers/postgres.ts";

const ZERO = Date.parse("2026-11-20T00:00:00Z");
const NOISE = valuesOf(flat, 3000, 2);
/** Run after each test, the newest first. */
export const cleanups: (() => Promise<void>)[] = [];
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

type Change = (value: number, minute: number) => number | undefined;

/** A detector that watches one series of a fake Prometheus, minute by minute. */
export interface World {
  readonly prometheus: FakePrometheus;
  /** Changes what Prometheus has, the past included. */
  rewrite(change: Change): void;
  sql(url: string, statement: string): Promise<readonly object[]>;
  readonly clock: ReturnType<typeof standingClock>;
  readonly posted: AlertFrame[];
  readonly anomalies: Anomaly[];
  readonly env: Record<string, string>;
  start(env?: Record<string, string>): Promise<RunningService & { readonly url: string }>;
  /** Moves the clock one minute at a time and waits for each cycle. */
  minutes(count: number, service: { readonly url: string }): Promise<void>;
}

/** @param labels of the series, which jumps by 60 in the minute `shiftFrom` */
export async function givenService(
  shiftFrom: number,
  labels: Readonly<Record<string, string>> = { namespace: "shop", app: "checkout" },
): Promise<World> {
  let change: Change = (value) => value;
  const prometheus = await startFakePrometheus(() => [
    {
      labels,
      value: (ms) => {
        const minute = (ms - ZERO) / MINUTE;
        return change((NOISE[minute + 1000] ?? NaN) + (minute >= shiftFrom ? 60 : 0), minute);
      },
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
    prometheus,
    rewrite: (next) => {
      change = next;
    },
    sql: async (url, statement) => {
      const database = openTestDatabase(url);
      try {
        return (await database.query(statement)).rows;
      } finally {
        await database.close();
      }
    },
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

export async function text(url: string, path: string): Promise<string> {
  return (await fetch(`${url}${path}`)).text();
}

async function cycles(url: string): Promise<number> {
  return Number(
    /aiops_cycle_duration_seconds_count\S* (\d+)/.exec(await text(url, "/metrics"))?.[1] ?? 0,
  );
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("waited in vain");
    await systemClock.sleep(10);
  }
}
