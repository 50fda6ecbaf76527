import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { readDetectorConfig, startDetector } from "../../detector/main.ts";
import { trainInProcess } from "../../detector/retraining-process.ts";
import { mulberry32 } from "../../detector/random.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startFakePrometheus } from "../fakes/prometheus.ts";
import { recordingLog } from "../fakes/recording-log.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { startPrometheus, type Prometheus } from "../servers/prometheus.ts";

const STEP_SECONDS = 5;
const POINTS = 900;
const PODS = 9;
const NOWHERE = "http://127.0.0.1:1";
/** Far more than a training takes here, for a busy machine. */
const PATIENCE_MS = 180_000; // training beside other tests

let database: TestDatabase;
let prometheus: Prometheus;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  prometheus = await startPrometheus({ history: history() });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(async () => {
  await prometheus.stop();
});

/** An hour and a quarter of nine pods, up to now. */
function history(): string {
  const now = Math.floor(Date.now() / 1000 / STEP_SECONDS) * STEP_SECONDS;
  const samples = Array.from({ length: PODS }, (_, pod) => {
    const random = mulberry32(pod + 1);
    return Array.from({ length: POINTS }, (_point, at) => {
      const time = now - (POINTS - at) * STEP_SECONDS;
      return `latency{namespace="shop",app="checkout",pod="p${pod}"} ${100 + 6 * random()} ${time}`;
    });
  });
  return `# TYPE latency gauge\n${samples.flat().join("\n")}\n# EOF\n`;
}

async function givenDatabase(): Promise<void> {
  database = await createTestDatabase();
  cleanups.push(async () => database.drop());
}

async function sql(statement: string, values: readonly unknown[] = []) {
  const connection = openTestDatabase(database.url);
  try {
    return (await connection.query(statement, values)).rows;
  } finally {
    await connection.close();
  }
}

/** A detector in this process, with its log and the numbers that it shows. */
async function givenReplica(env: Readonly<Record<string, string>>) {
  const log = recordingLog();
  const config = readDetectorConfig({
    ...{ PROM_URL: prometheus.url, AIOPS_METRICS: "latency=latency", DETECTOR_PORT: "0" },
    ...{ AIOPS_INTERVAL_SECONDS: String(STEP_SECONDS), AIOPS_BACKFILL_POINTS: "400" },
    ...{ AIOPS_RETRAIN_DAYS: "1", AIOPS_RETRAIN_CRON: "*/2 * * * * *", ...env },
  });
  const service = await startDetector(config, log);
  const { url = "" } = service;
  const stop = async () => service.stop();
  cleanups.push(stop);
  const metrics = async () => (await fetch(`${url}/metrics`)).text();
  return {
    ...{ log, stop, metrics },
    retrained: async (result: string) => {
      const found = new RegExp(`aiops_retrain_total\\{[^}]*result="${result}"[^}]*\\} (\\d+)`);
      return Number(found.exec(await metrics())?.[1]);
    },
    model: async () => {
      const health = (await (await fetch(`${url}/health`)).json()) as {
        checks: { model: { detail: string } };
      };
      return health.checks.model.detail;
    },
    /** The due times of log lines that begin like this. */
    dues: (message: string) =>
      log
        .text()
        .split("\n")
        .filter((line) => line.includes(message))
        .map((line) => /due=([^=]*\))/.exec(line)?.[1]),
  };
}

test("of two replicas one trains at a time, the other one does not, and the new model is in use at once", async () => {
  await givenDatabase();
  const at = Date.now();
  await sql(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, finished_at)
     VALUES ('run_1', 'k', 'r', 'succeeded', 'shop', 'checkout', '{}', now(), $1)`,
    [new Date(at - 49 * 60_000)],
  );
  await sql(
    "INSERT INTO runbooks_audit (run_id, event, actor, ts) VALUES ('run_1', 'intent', 'fettle', $1)",
    [new Date(at - 50 * 60_000)],
  );
  const env = { AIOPS_DATABASE_URL: database.url };
  const [one, other] = [await givenReplica(env), await givenReplica(env)];
  const replicas = [one, other];
  const before = await one.model();
  const trained = () => replicas.flatMap(({ dues }) => dues("info retrained"));
  const leftAlone = () => replicas.flatMap(({ dues }) => dues("another replica's"));

  const isTrainer = async ({ retrained }: typeof one) => (await retrained("promoted")) > 0;
  await waitUntil(
    "a promotion",
    async () => (await isTrainer(one)) || (await isTrainer(other)),
    PATIENCE_MS,
  );
  await waitUntil(
    "a replica that leaves it to the other one",
    async () => Promise.resolve(leftAlone().length > 0),
    PATIENCE_MS,
  );
  const trainer = (await isTrainer(one)) ? one : other;

  await waitUntil("the new model", async () => (await trainer.model()) !== before, PATIENCE_MS);
  const [model] = await sql("SELECT * FROM aiops_models ORDER BY id OFFSET 1 LIMIT 1");
  expect(model).toMatchObject({ schema_version: expect.any(Number), seed: "1" });
  expect(model).toMatchObject({
    parameters: {
      ...{
        pool: "own",
        parent: before,
        window: { from: expect.any(String), to: expect.any(String) },
      },
      masks: { windows: 1, list: [{ namespace: "shop", app: "checkout", cause: "runbook" }] },
    },
  });
  expect(await trainer.metrics()).toMatch(
    /aiops_retrain_last_success_timestamp_seconds\S* 1\.\d+e\+09|aiops_retrain_last_success_timestamp_seconds\S* \d{10}/,
  );
  expect(trained()).toEqual([...new Set(trained())]);
});

test("a training that fails is counted and told, and the old model stays", async () => {
  await givenDatabase();
  const replica = await givenReplica({ AIOPS_DATABASE_URL: database.url, PROM_URL: NOWHERE });
  const before = await replica.model();

  await waitUntil("a failure", async () => (await replica.retrained("failed")) > 0, PATIENCE_MS);

  expect(replica.log.text()).toMatch(
    /warn retraining failed, the model in use stays .*training ended with 5: fettle: Prometheus does not answer/,
  );
  expect(await replica.model()).toBe(before);
  expect(await replica.retrained("promoted")).toBe(0);
  expect(await replica.metrics()).not.toMatch(/^aiops_retrain_last_success_timestamp_seconds/m);
});

test("a stop ends the training under way", async () => {
  await givenDatabase();
  const silent = await startFakePrometheus(() => []);
  cleanups.push(async () => silent.stop());
  silent.faults.push(...Array.from({ length: 1_000 }, () => "hang" as const));
  const replica = await givenReplica({ AIOPS_DATABASE_URL: database.url, PROM_URL: silent.url });
  await waitUntil("the process", async () => (await trainings()).length > 0, PATIENCE_MS);
  const [pid = 0] = await trainings();

  await replica.stop();

  expect(await trainings()).toEqual([]);
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  expect(replica.log.text()).not.toContain("retraining failed");
});

/** Processes of ours that train. */
async function trainings(): Promise<readonly number[]> {
  const own = `/proc/${process.pid}/task/${process.pid}/children`;
  const children = (await readFile(own, "utf8")).split(" ").filter((pid) => pid !== "");
  const lines = await Promise.all(
    children.map(async (pid) => [pid, await readFile(`/proc/${pid}/cmdline`, "utf8")] as const),
  );
  return lines.filter(([, line]) => line.includes("\0train\0")).map(([pid]) => Number(pid));
}

test("without a database nothing is scheduled, and one line says so; switched off not even that", async () => {
  const without = await givenReplica({});
  await givenDatabase();
  const off = await givenReplica({ AIOPS_DATABASE_URL: database.url, AIOPS_RETRAIN_CRON: "off" });
  await sleep(2_500);

  expect(without.log.text()).toContain("info no retraining: it needs AIOPS_DATABASE_URL");
  expect(off.log.text()).not.toMatch(/retrain/);
  expect(await trainings()).toEqual([]);
});

const never = new AbortController().signal;

test.each<[string, object, RegExp]>([
  ["takes too long", { timeLimitMs: 50 }, /^training took longer than .* minutes$/],
  ["needs more memory than it may have", { memoryMb: 8 }, /^training ended with SIG.*FATAL ERROR/],
  [
    "is misconfigured",
    { environment: { AIOPS_METRICS: "=" } },
    /^training ended with 2: .*AIOPS_METRICS/,
  ],
])(
  "a training that %s says so",
  async (_name, change, message) => {
    const training = { days: 1, memoryMb: 256, environment: { PROM_URL: NOWHERE }, ...change };

    await expect(trainInProcess(training, never)).rejects.toThrow(message);
  },
  60_000,
);
