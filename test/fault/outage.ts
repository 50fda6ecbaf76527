import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { attemptDelivery } from "../fakes/alertmanager-sender.ts";
import type { Attempt } from "../fakes/alertmanager-sender.ts";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { startPrivatePostgres, type PrivatePostgres } from "../servers/postgres.ts";
import { CANARIES } from "./canaries.ts";
import { brokenInvariants } from "./invariants.ts";
import { measure, type Measured } from "./measure.ts";

const TOKEN = CANARIES.token;
/** Members of one Alertmanager cluster that all think they must tell. */
const SENDERS = 3;
const ALERTS_PER_SECOND = 200;
const WEBHOOKS_PER_SECOND = 10;
const TARGETS = 20;
/** Alertmanager's own retries: half a second, then half as long again each time; its longest is a minute. */
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 10_000;
const ANSWER_MAX_MS = 5_000;
const RECOVERY_MAX_MS = 5_000;
const MEMORY_MAX_BYTES = 300 * 1024 * 1024;

export interface OutageWorld {
  readonly postgres: PrivatePostgres;
  readonly database: Database;
  readonly service: FettleProcess;
  readonly before: Measured;
  readonly stop: () => Promise<void>;
}

/** A runbooks service with a database server that a test may stop. */
export async function givenOutageWorld(): Promise<OutageWorld> {
  const postgres = await startPrivatePostgres();
  await migrate(postgres.url, silentLog);
  const database = openDatabase(
    { url: postgres.url, applicationName: "test", max: 2, statementTimeoutMs: 20_000 },
    silentLog,
  );
  const service = await startFettle("runbooks", "RUNBOOKS_PORT", {
    AIOPS_DATABASE_URL: postgres.url,
    RUNBOOK_WEBHOOK_TOKEN: TOKEN,
  });
  return {
    postgres,
    database,
    service,
    before: await measure(service.url),
    stop: async () => {
      await service.stop();
      await database.close();
      await postgres.remove();
    },
  };
}

/** An attempt, and when its answer came. */
type TimedAttempt = Attempt & { readonly at: number };

interface Senders {
  readonly attempts: readonly TimedAttempt[];
  /** Sends no new alert, and waits until each of the old ones is accepted. Returns how many alerts there were. */
  readonly finish: () => Promise<number>;
}

/** New alerts at a steady rate; each sender repeats each webhook until it is accepted, as Alertmanager does. */
export function startSenders({ url }: Pick<FettleProcess, "url">, name: string): Senders {
  const attempts: TimedAttempt[] = [];
  const deliveries: Promise<unknown>[] = [];
  let webhooks = 0;
  const deliver = async (body: string) => {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LAST_PAUSE_MS)) {
      const attempt = await attemptDelivery(`${url}/alertmanager`, body, {
        authorization: `Bearer ${TOKEN}`,
      });
      attempts.push({ ...attempt, at: performance.now() });
      if (attempt.status !== undefined && attempt.status < 500) return;
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  };
  const each = ALERTS_PER_SECOND / WEBHOOKS_PER_SECOND;
  const timer = setInterval(() => {
    const body = frameOf(name, webhooks * each, each);
    webhooks += 1;
    for (let sender = 0; sender < SENDERS; sender += 1) deliveries.push(deliver(body));
  }, 1_000 / WEBHOOKS_PER_SECOND);
  return {
    attempts,
    finish: async () => {
      clearInterval(timer);
      await Promise.all(deliveries);
      return webhooks * each;
    },
  };
}

function frameOf(name: string, from: number, size: number): string {
  const alerts = Array.from({ length: size }, (_, at) => ({
    status: "firing",
    labels: {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      namespace: "shop",
      app: `${name}-${(from + at) % TARGETS}`,
      instance: String(from + at),
    },
    annotations: {},
    startsAt: "2026-11-21T03:00:00Z",
    fingerprint: `${name}-${from + at}`,
  }));
  return JSON.stringify({ version: "4", receiver: "fettle", status: "firing", alerts });
}

/** What must hold of every outage, seen from the senders, from the database and from the process. */
export async function expectNothingLost(
  { database, service, before }: OutageWorld,
  told: {
    readonly name: string;
    readonly alerts: number;
    readonly attempts: readonly TimedAttempt[];
    readonly recoveredAt: number;
  },
): Promise<void> {
  const { name, alerts, attempts, recoveredAt } = told;
  expect([...new Set(attempts.map(({ status }) => status))].sort()).toEqual([202, 503]);
  const refused = attempts.filter(({ status }) => status === 503);
  expect(new Set(refused.map(({ retryAfter }) => retryAfter))).toEqual(new Set(["5"]));
  const times = attempts.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  // The slowest of thousands says how busy the machine is; a sender waits for 10 s.
  expect(times[Math.floor(times.length * 0.99)]).toBeLessThan(ANSWER_MAX_MS);
  const first = attempts.find(({ status, at }) => status === 202 && at > recoveredAt);
  expect((first?.at ?? Infinity) - recoveredAt).toBeLessThan(RECOVERY_MAX_MS);

  await waitUntil("all to be processed", async () => {
    const { rowCount } = await database.query("SELECT 1 FROM inbox WHERE processed_at IS NULL");
    return rowCount === 0;
  });
  const { rows } = await database.query(
    `SELECT count(*)::int AS episodes, count(DISTINCT fingerprint)::int AS alerts,
            (SELECT count(*)::int FROM runs WHERE app LIKE $1) AS runs,
            (SELECT count(DISTINCT target_key)::int FROM runs WHERE app LIKE $1) AS targets
       FROM episodes WHERE fingerprint LIKE $1`,
    [`${name}-%`],
  );
  expect(rows).toEqual([{ episodes: alerts, alerts, runs: TARGETS, targets: TARGETS }]);
  const after = await measure(service.url);
  expect(after.bytes).toBeLessThan(MEMORY_MAX_BYTES);
  tell({
    alerts,
    requests: attempts.length,
    p99: times[Math.floor(times.length * 0.99)],
    max: times.at(-1),
    recovered: (first?.at ?? 0) - recoveredAt,
    bytes: after.bytes,
  });
  const world = { database, output: service.output, approvers: [], limits: NO_LIMITS };
  const processes = [{ url: service.url, before }];
  expect(await brokenInvariants({ ...world, processes })).toEqual([]);
}

const NO_LIMITS = { hourly: 0, daily: 0 };

/** Postgres is gone for so long while all senders go on. */
export async function outage(world: OutageWorld, name: string, ms: number): Promise<void> {
  const { postgres, service } = world;
  const senders = startSenders(service, name);
  await sleep(2_000);
  await postgres.stop("immediate");
  await sleep(ms);
  const [health, ready] = [
    await fetch(`${service.url}/health`),
    await fetch(`${service.url}/ready`),
  ];
  await postgres.start();
  const recoveredAt = performance.now();
  await sleep(2_000);
  const alerts = await senders.finish();

  expect([health.status, ready.status]).toEqual([200, 503]);
  await expectNothingLost(world, { name, alerts, attempts: senders.attempts, recoveredAt });
}

/** Printed when asked for, since a busy machine says nothing about the program. */
function tell(figures: object): void {
  if (process.env["FETTLE_FIGURES"] !== undefined)
    process.stderr.write(`${JSON.stringify(figures)}\n`);
}
