import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import {
  attemptDelivery,
  deliverUntilAccepted,
  type Attempt,
} from "../fakes/alertmanager-sender.ts";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { CANARIES } from "./canaries.ts";
import { brokenInvariants } from "./invariants.ts";
import { measure, metricOf, type Measured } from "./measure.ts";

const TOKEN = CANARIES.token;
const WEBHOOKS = 1_000;
const ALERTS_EACH = 10;
const TARGETS = 40;
const STORM_MS = 10_000;
const MEMORY_MAX_BYTES = 400 * 1024 * 1024;
/** Alertmanager's own patience in our documentation; what is measured here is printed in docs/benchmarks.md. */
const ANSWER_MAX_MS = 10_000;

let testDatabase: TestDatabase;
let database: Database;
let service: FettleProcess;
let before: Measured;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  const looks = { url: testDatabase.url, max: 2, statementTimeoutMs: 30_000 }; // at ten thousand alerts
  database = openDatabase({ ...looks, applicationName: "test" }, silentLog);
  service = await startFettle("runbooks", "RUNBOOKS_PORT", {
    AIOPS_DATABASE_URL: testDatabase.url,
    RUNBOOK_WEBHOOK_TOKEN: TOKEN,
    RUNBOOK_POLICY_CONFIGMAP: "none",
  });
  before = await measure(service.url);
});
afterAll(async () => {
  await service.stop();
  await database.close();
  await testDatabase.drop();
});

function frameOf(webhook: string, alerts: number, padding = ""): string {
  return JSON.stringify({
    version: "4",
    receiver: "fettle",
    status: "firing",
    groupKey: `{}:{webhook="${webhook}"}`,
    truncatedAlerts: 0,
    alerts: Array.from({ length: alerts }, (_, at) => ({
      status: "firing",
      labels: {
        alertname: "AIOpsAnomalyDetected",
        metric: "latency_p99",
        namespace: "shop",
        app: `app-${at % TARGETS}`,
        pod: `pod.${webhook}.${at}`,
      },
      annotations: padding === "" ? {} : { description: padding },
      startsAt: "2026-11-21T03:00:00Z",
      fingerprint: `${webhook}-${at}`,
    })),
  });
}

/** A machine that is busy with other tests is told to come again, as an Alertmanager would. Returns the last attempt. */
async function deliver(body: string): Promise<Attempt> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const attempts = await deliverUntilAccepted(async () =>
    attemptDelivery(`${service.url}/alertmanager`, body, headers),
  );
  const refused = attempts.slice(0, -1).map(({ status }) => status);
  expect(refused.filter((status) => status !== 503)).toEqual([]);
  return attempts.at(-1) as Attempt;
}

async function metricOfService(name: string): Promise<number> {
  return metricOf(service.url, name);
}

/** No alert lost, one run for a target, and the process as small as before. */
async function expectAllInOrder(): Promise<void> {
  const world = {
    database,
    output: service.output,
    approvers: [],
    processes: [{ url: service.url, before }],
  };
  expect(await brokenInvariants({ ...world, limits: { hourly: 0, daily: 0 } })).toEqual([]);
}

async function waitUntilProcessed(): Promise<void> {
  await waitUntil("all to be looked at", async () => {
    const { rowCount } = await database.query("SELECT 1 FROM inbox WHERE processed_at IS NULL");
    return rowCount === 0;
  });
}

async function count(sql: string): Promise<number> {
  return (
    (await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]?.n ?? 0
  );
}

/** Printed when asked for, since a busy machine says nothing about the program. */
function tell(figures: object): void {
  if (process.env["FETTLE_FIGURES"] !== undefined)
    process.stderr.write(`${JSON.stringify(figures)}\n`);
}

test("10,000 alerts in 10 s as 1,000 webhooks: all are stored, and each target has one run", async () => {
  const start = performance.now();
  const deliveries = Array.from({ length: WEBHOOKS }, async (_, at) => {
    await sleep((at * STORM_MS) / WEBHOOKS);
    return deliver(frameOf(`storm-${at}`, ALERTS_EACH));
  });

  const attempts = await Promise.all(deliveries);
  await waitUntilProcessed();

  expect(new Set(attempts.map(({ status }) => status))).toEqual(new Set([202]));
  expect(await count("episodes")).toBe(WEBHOOKS * ALERTS_EACH);
  expect(await count("episodes WHERE run_id IS NULL AND admit_at IS NULL")).toBe(0);
  expect(await count("runs")).toBe(ALERTS_EACH);
  await expectAllInOrder();
  expect(await metricOfService("process_resident_memory_bytes")).toBeLessThan(MEMORY_MAX_BYTES);
  const times = attempts.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  expect(times.at(-1)).toBeLessThan(ANSWER_MAX_MS);
  tell({
    p50: times[WEBHOOKS / 2],
    p99: times[WEBHOOKS * 0.99],
    max: times.at(-1),
    all: performance.now() - start,
    memory: await metricOfService("process_resident_memory_bytes"),
    loop_p99: await metricOfService("nodejs_eventloop_lag_p99_seconds"),
  });
});

test("one webhook with 5,000 alerts (4.4 MiB) is one delivery, and one run for each target", async () => {
  const body = frameOf("big", 5_000, "x".repeat(700));
  expect(body.length).toBeGreaterThan(4.4 * 1024 * 1024);
  const before = await count("runs");

  const attempt = await deliver(body);
  const stored = performance.now();
  await waitUntilProcessed();

  expect(attempt.status).toBe(202);
  expect(JSON.parse(attempt.answer)).toMatchObject({ accepted: 5_000, duplicate: 0 });
  expect(attempt.milliseconds).toBeLessThan(ANSWER_MAX_MS);
  expect(
    await count(
      "episodes WHERE fingerprint LIKE 'big-%' AND (run_id IS NOT NULL OR admit_at IS NOT NULL)",
    ),
  ).toBe(5_000);
  expect((await count("runs")) - before).toBe(TARGETS - ALERTS_EACH);
  await expectAllInOrder();
  expect(await metricOfService("process_resident_memory_bytes")).toBeLessThan(MEMORY_MAX_BYTES);
  tell({ answered: attempt.milliseconds, admitted: performance.now() - stored });
});
