import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { attemptDelivery, deliverUntilAccepted } from "../fakes/alertmanager-sender.ts";
import type { Attempt } from "../fakes/alertmanager-sender.ts";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { startPrivatePostgres, type PrivatePostgres } from "../servers/postgres.ts";

const TOKEN = "canary-database-down-token";
const OUTAGE_MS = 20_000;
const FREEZE_MS = 7_000; // longer than the answer may take
const ALERTS_PER_SECOND = 5;
const ANSWER_MAX_MS = 5_000;
const RECOVERY_MAX_MS = 5_000;
const MEMORY_MAX_BYTES = 300 * 1024 * 1024;

let postgres: PrivatePostgres;
let database: Database;
let service: FettleProcess;

beforeAll(async () => {
  postgres = await startPrivatePostgres();
  await migrate(postgres.url, silentLog);
  database = openDatabase({ url: postgres.url, applicationName: "test", max: 2 }, silentLog);
  service = await startFettle("runbooks", "RUNBOOKS_PORT", {
    AIOPS_DATABASE_URL: postgres.url,
    RUNBOOK_WEBHOOK_TOKEN: TOKEN,
  });
});

afterAll(async () => {
  await service.stop();
  await database.close();
  await postgres.remove();
});

/** An attempt, and when its answer came. */
type TimedAttempt = Attempt & { readonly at: number };

interface Sender {
  readonly attempts: readonly TimedAttempt[];
  /** Sends no new alert, and waits until each of the old ones is accepted. Returns how many alerts there were. */
  readonly finish: () => Promise<number>;
}

/** A new alert about another app at a steady rate; each is repeated until it is accepted, as Alertmanager does. */
function startSender(name: string): Sender {
  const attempts: TimedAttempt[] = [];
  const deliveries: Promise<unknown>[] = [];
  const deliver = async (app: string) =>
    deliverUntilAccepted(
      async () => {
        const attempt = await attemptDelivery(`${service.url}/alertmanager`, frameAbout(app), {
          authorization: `Bearer ${TOKEN}`,
        });
        attempts.push({ ...attempt, at: performance.now() });
        return attempt;
      },
      { pauseMs: 1_000 },
    );
  const timer = setInterval(() => {
    deliveries.push(deliver(`${name}-${deliveries.length}`));
  }, 1_000 / ALERTS_PER_SECOND);
  return {
    attempts,
    finish: async () => {
      clearInterval(timer);
      await Promise.all(deliveries);
      return deliveries.length;
    },
  };
}

function frameAbout(app: string): string {
  const alert = {
    status: "firing",
    labels: { alertname: "AIOpsAnomalyDetected", metric: "latency_p99", namespace: "shop", app },
    annotations: {},
    startsAt: "2026-11-21T03:00:00Z",
    fingerprint: app,
  };
  return JSON.stringify({ version: "4", receiver: "fettle", status: "firing", alerts: [alert] });
}

/** What must hold of every outage, seen from the sender and from the database. */
async function expectNothingLost(
  name: string,
  { alerts, attempts }: { alerts: number; attempts: readonly TimedAttempt[] },
): Promise<void> {
  const statuses = new Set(attempts.map(({ status }) => status));
  expect([...statuses].sort()).toEqual([202, 503]);
  const refused = attempts.filter(({ status }) => status === 503);
  expect(new Set(refused.map(({ retryAfter }) => retryAfter))).toEqual(new Set(["5"]));
  expect(Math.max(...attempts.map(({ milliseconds }) => milliseconds))).toBeLessThan(ANSWER_MAX_MS);

  await waitUntil("all to be processed", 20_000, async () => {
    const { rowCount } = await database.query("SELECT 1 FROM inbox WHERE processed_at IS NULL");
    return rowCount === 0;
  });
  const once = { episodes: alerts, apps: alerts, runs: alerts };
  const { rows } = await database.query(
    `SELECT count(*)::int AS episodes, count(DISTINCT fingerprint)::int AS apps, count(DISTINCT run_id)::int AS runs
       FROM episodes WHERE fingerprint LIKE $1`,
    [`${name}-%`],
  );
  expect(rows).toEqual([once]);
}

async function memoryOf({ url }: FettleProcess): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_resident_memory_bytes(?:\{.*\})? (\S+)$/m.exec(metrics)?.[1]);
}

let ended: boolean;
beforeEach(() => {
  ended = false;
  void service.exited.then(() => (ended = true));
});

test("Postgres stopped for 20 s while alerts are sent: 503s, the process lives, each alert exists once", async () => {
  const sender = startSender("stopped");
  await sleep(2_000);
  await postgres.stop("immediate");
  await sleep(OUTAGE_MS);
  const healthDuring = await fetch(`${service.url}/health`);
  const readyDuring = await fetch(`${service.url}/ready`);
  await postgres.start();
  const recoveredAt = performance.now();
  await sleep(2_000);
  const alerts = await sender.finish();

  expect([healthDuring.status, readyDuring.status]).toEqual([200, 503]);
  const firstAccepted = sender.attempts.find(
    ({ status, at }) => status === 202 && at > recoveredAt,
  );
  expect((firstAccepted?.at ?? Infinity) - recoveredAt).toBeLessThan(RECOVERY_MAX_MS);
  await expectNothingLost("stopped", { alerts, attempts: sender.attempts });
  expect(ended).toBe(false);
  expect(await memoryOf(service)).toBeLessThan(MEMORY_MAX_BYTES);
}, 90_000);

test("Postgres frozen: each request is answered with 503 within 5 s, and the pool recovers", async () => {
  const sender = startSender("frozen");
  await sleep(1_000);
  postgres.freeze();
  await sleep(FREEZE_MS);
  postgres.thaw();
  const recoveredAt = performance.now();
  await sleep(1_000);
  const alerts = await sender.finish();

  const firstAccepted = sender.attempts.find(
    ({ status, at }) => status === 202 && at > recoveredAt,
  );
  expect((firstAccepted?.at ?? Infinity) - recoveredAt).toBeLessThan(RECOVERY_MAX_MS);
  await expectNothingLost("frozen", { alerts, attempts: sender.attempts });
  expect(ended).toBe(false);
}, 60_000);

test("what was accepted in the last instant before a crash of Postgres is there afterwards", async () => {
  const accepted: string[] = [];
  for (const app of ["crash-0", "crash-1", "crash-2"]) {
    const sent = await deliverUntilAccepted(async () =>
      attemptDelivery(`${service.url}/alertmanager`, frameAbout(app), {
        authorization: `Bearer ${TOKEN}`,
      }),
    );
    await postgres.stop("immediate");
    accepted.push((JSON.parse(sent.at(-1)?.answer ?? "{}") as { id: string }).id);
    await postgres.start();
  }

  const { rows } = await database.query<{ id: string }>(
    "SELECT id FROM inbox WHERE id = ANY ($1) ORDER BY inbox.id",
    [accepted],
  );
  expect(rows.map(({ id }) => id)).toEqual(accepted);
}, 30_000);
