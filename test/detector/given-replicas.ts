import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { readDetectorConfig, startDetector } from "../../detector/main.ts";
import type { AlertFrame } from "../../lib/contracts.ts";
import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { noiseAt, startMetricsTarget, type MetricsTarget } from "../fakes/metrics-target.ts";
import { startPrometheus } from "../servers/prometheus.ts";
import { ownPort } from "../servers/unprivileged.ts";

export interface LeaseTimes {
  readonly leaseMs: number;
  readonly beatMs: number;
}

/** Ten beats, as the default has; a busy machine must not lose a lease by chance. */
export const SHORT: LeaseTimes = { leaseMs: 5_000, beatMs: 500 };
/** Seconds of the past that Prometheus begins with. */
const HISTORY_SECONDS = 1_000;

/** One replica, in this process or as one of its own. */
export interface Replica {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

interface ReplicaProcess extends Replica {
  readonly output: () => string;
  /** kill -9, and wait for the end. */
  readonly kill: () => Promise<void>;
  /** SIGSTOP: it does nothing, and its connections stay open. */
  readonly freeze: () => void;
  readonly thaw: () => void;
}

/** Replicas of the detector on one database, a real Prometheus with a real target, and a receiver of their alerts. */
export interface World {
  readonly target: MetricsTarget;
  readonly database: Database;
  /** Alerts as they came, each "firing <metric>" or "resolved <metric>". */
  readonly posted: readonly string[];
  readonly start: (times?: LeaseTimes) => Promise<Replica>;
  /** Without times it is `bin/fettle detector`, as an operator starts it. */
  readonly spawn: (times?: LeaseTimes) => Promise<ReplicaProcess>;
  /** Metrics by the replica that owns them, the most first. */
  readonly split: () => Promise<readonly (readonly string[])[]>;
  readonly stop: () => Promise<void>;
}

/** @param metrics names; all of them follow the target's gauge, each on a scale of its own */
export async function givenReplicas(
  databaseUrl: string,
  metrics: readonly string[],
): Promise<World> {
  const stops: (() => Promise<unknown>)[] = [];
  const stopping = <T extends { readonly stop: () => Promise<unknown> }>(one: T): T => {
    stops.push(async () => one.stop());
    return one;
  };
  const target = stopping(await startMetricsTarget(0.3));
  const prometheus = stopping(
    await startPrometheus({
      scrape: [{ job: "shop", target: target.target }],
      history: historyOf(target.target),
    }),
  );
  await prometheus.waitForTarget("shop");
  const receiver = stopping(await startReceiver());
  const database = openDatabase({ url: databaseUrl, applicationName: "test", max: 2 }, silentLog);
  stops.push(async () => database.close());
  const env = {
    AIOPS_DATABASE_URL: databaseUrl,
    PROM_URL: prometheus.url,
    AIOPS_METRICS: metrics.map((name, at) => `${name}=shop_latency_seconds * ${at + 1}`).join(";"),
    AIOPS_INTERVAL_SECONDS: "1",
    AIOPS_BACKFILL_POINTS: String(HISTORY_SECONDS - 100),
    AIOPS_WEBHOOK_URL: receiver.url,
    AIOPS_WEBHOOK_SECRET: "key",
  };
  return {
    target,
    database,
    posted: receiver.posted,
    start: async (leaseTimes) => {
      const config = readDetectorConfig({ ...env, DETECTOR_PORT: "0" });
      const overrides = leaseTimes === undefined ? {} : { leaseTimes };
      const service = await startDetector(config, silentLog, overrides);
      const replica = stopping({ url: service.url ?? "", stop: async () => service.stop() });
      await isReady(replica.url);
      return replica;
    },
    spawn: async (times) => stopping(await spawnReplica(env, times)),
    split: async () => {
      const { rows } = await database.query<{ metrics: readonly string[] }>(
        `SELECT array_agg(metric ORDER BY metric) AS metrics FROM aiops_groups
         WHERE owner IS NOT NULL GROUP BY owner ORDER BY count(*) DESC, 1`,
      );
      return rows.map((row) => row.metrics);
    },
    stop: async () => {
      for (const stop of stops.reverse()) await stop();
    },
  };
}

async function spawnReplica(
  env: Readonly<Record<string, string>>,
  times?: LeaseTimes,
): Promise<ReplicaProcess> {
  const port = await ownPort();
  const [program, args] =
    times === undefined
      ? ["bin/fettle", ["detector"]]
      : [process.execPath, ["--input-type=module", "-e", programWith(times)]];
  const child = spawn(program, args, {
    // The folder marks the process as one of this run: `services run` ends it if this test dies.
    env: {
      ...{ PATH: process.env["PATH"], FETTLE_TEST_FOLDER: process.env["FETTLE_TEST_FOLDER"] },
      ...{ ...env, DETECTOR_PORT: String(port) },
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, "close");
  const end = async (signal: NodeJS.Signals) => {
    child.kill("SIGCONT"); // a frozen process hears SIGTERM only after it
    child.kill(signal);
    await exited;
  };
  const url = `http://127.0.0.1:${port}`;
  await isReady(url).catch(async (error: unknown) => {
    await end("SIGKILL");
    throw new Error(`${String(error)}\n${output.slice(-3_000)}`);
  });
  return {
    url,
    output: () => output,
    stop: async () => end("SIGTERM"),
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
  };
}

/** A detector as a process of its own, with other lease times than the command has. */
function programWith(leaseTimes: LeaseTimes): string {
  return `
    import { readDetectorConfig, startDetector } from "./detector/main.ts";
    import { runService } from "./lib/lifecycle.ts";
    import { createLogger } from "./lib/log.ts";
    const log = createLogger({ service: "detector" });
    const overrides = { leaseTimes: ${JSON.stringify(leaseTimes)} };
    const start = () => startDetector(readDetectorConfig(process.env), log, overrides);
    process.exitCode = await runService(log, start);
  `;
}

async function isReady(url: string): Promise<void> {
  await waitUntil(`${url} to be ready`, async () =>
    fetch(`${url}/ready`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
}

async function startReceiver() {
  const posted: string[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      const { alerts } = JSON.parse(body) as AlertFrame;
      posted.push(...alerts.map(({ status, labels }) => `${status} ${labels["metric"] ?? ""}`));
      response.writeHead(202).end();
    })();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/alertmanager`,
    posted,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** The same gauge, one sample a second, as Prometheus would have scraped it. */
function historyOf(instance: string): string {
  const now = Math.floor(Date.now() / 1000);
  const labels = `namespace="shop",app="checkout",job="shop",instance="${instance}"`;
  const samples = Array.from({ length: HISTORY_SECONDS }, (_, at) => {
    const value = 0.3 * (1 + 0.02 * noiseAt(at));
    return `shop_latency_seconds{${labels}} ${value} ${now - HISTORY_SECONDS + at}`;
  });
  return `# TYPE shop_latency_seconds gauge\n${samples.join("\n")}\n# EOF\n`;
}

/** Whether a replica shows a metric's group as its own, and whether it shows any of its series; both from /metrics. */
export async function shownOf(
  metric: string,
  { url }: Replica,
): Promise<{ readonly owned: boolean; readonly series: boolean }> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const lines = page.split("\n").filter((line) => line.includes(`metric="${metric}"`));
  return {
    owned: lines.some((line) => /^aiops_group_owned\{.*\} 1$/.test(line)),
    series: lines.some((line) => line.startsWith("aiops_anomaly_")),
  };
}
