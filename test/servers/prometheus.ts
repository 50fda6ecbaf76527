import { execFile } from "node:child_process";
import { chown, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { startServer } from "../../ops/test/server-process.ts";
import { answersOk } from "./http-ready.ts";
import { placeServer, programPath, type ServerPlace } from "./unprivileged.ts";

/** Targets appear about 5 s after the start: Prometheus batches what discovery tells it. */
const TARGET_TIMEOUT_MS = 60_000;
const POLL_MS = 100;

export interface PrometheusOptions {
  readonly scrape?: readonly ScrapeTarget[];
  /** Contents of rule files. */
  readonly rules?: readonly string[];
  readonly alertmanagerUrl?: string;
  /** Prometheus durations; one second unless set. */
  readonly scrapeInterval?: string;
  readonly evaluationInterval?: string;
  /** How old a sample may be that a test writes ("30d"); without it two hours are refused. */
  readonly outOfOrderWindow?: string;
  readonly lookbackDelta?: string;
  /** Samples of the past, in OpenMetrics (`# EOF` at the end), that it begins with. */
  readonly history?: string;
  /** Sent to every target as a bearer token. */
  readonly bearer?: string;
}

interface ScrapeTarget {
  readonly job: string;
  /** host:port */
  readonly target?: string;
  /** Address that lists the job's targets instead (HTTP service discovery), asked every second. */
  readonly discoveryUrl?: string;
  readonly metricsPath?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Prometheus {
  readonly url: string;
  /** Resolves once the job's targets have all been scraped with success. */
  readonly waitForTarget: (job: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts a real Prometheus; remote write, the admin API and reload are open. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<Prometheus> {
  const place = await placeServer("prometheus");
  const configPath = await writeConfig(place.folder, options);
  if (options.history !== undefined) await writeHistory(place, options.history);
  const url = `http://127.0.0.1:${place.port}`;
  const server = await startServer({
    ...place,
    program: programPath("PROMETHEUS"),
    args: [
      `--config.file=${configPath}`,
      `--storage.tsdb.path=${join(place.folder, "data")}`,
      `--web.listen-address=127.0.0.1:${place.port}`,
      "--web.enable-lifecycle",
      "--web.enable-admin-api",
      "--web.enable-remote-write-receiver",
      ...(options.lookbackDelta === undefined
        ? []
        : [`--query.lookback-delta=${options.lookbackDelta}`]),
    ],
    ready: () => answersOk(`${url}/-/ready`),
  });
  return { url, waitForTarget: (job) => waitForTarget(url, job), stop: () => server.stop() };
}

/** Made into blocks before the start: a running server sees new blocks only after up to a minute. */
async function writeHistory({ folder, account }: ServerPlace, history: string): Promise<void> {
  const [source, data] = [join(folder, "history.om"), join(folder, "data")];
  await writeFile(source, history);
  const args = ["tsdb", "create-blocks-from", "openmetrics", source, data, "--quiet"];
  await promisify(execFile)(programPath("PROMTOOL"), args);
  if (account.uid !== undefined) await chownAll(data, account.uid, account.gid ?? account.uid);
}

async function chownAll(folder: string, uid: number, gid: number): Promise<void> {
  await chown(folder, uid, gid);
  for (const name of await readdir(folder, { recursive: true }))
    await chown(join(folder, name), uid, gid);
}

/** promtool reads the configuration first, since its message names the line and the server's log does not. */
async function writeConfig(folder: string, options: PrometheusOptions): Promise<string> {
  const ruleFiles = (options.rules ?? []).map((_, index) => join(folder, `rules-${index}.yml`));
  for (const [index, content] of (options.rules ?? []).entries()) {
    await writeFile(ruleFiles[index] ?? "", content);
  }
  const path = join(folder, "prometheus.yml");
  await writeFile(path, stringify(prometheusConfig(options, ruleFiles)));
  await promisify(execFile)(programPath("PROMTOOL"), ["check", "config", path]);
  return path;
}

function prometheusConfig(options: PrometheusOptions, ruleFiles: readonly string[]): object {
  const { alertmanagerUrl, outOfOrderWindow, scrapeInterval = "1s" } = options;
  return {
    global: {
      scrape_interval: scrapeInterval,
      scrape_timeout: scrapeInterval,
      evaluation_interval: options.evaluationInterval ?? "1s",
    },
    scrape_configs: (options.scrape ?? []).map((target) => scrapeConfig(target, options.bearer)),
    ...(ruleFiles.length === 0 ? {} : { rule_files: ruleFiles }),
    ...(alertmanagerUrl === undefined ? {} : { alerting: alertingConfig(alertmanagerUrl) }),
    ...(outOfOrderWindow === undefined
      ? {}
      : { storage: { tsdb: { out_of_order_time_window: outOfOrderWindow } } }),
  };
}

function scrapeConfig(target: ScrapeTarget, bearer: string | undefined): object {
  return {
    job_name: target.job,
    metrics_path: target.metricsPath ?? "/metrics",
    ...(target.discoveryUrl === undefined
      ? { static_configs: [{ targets: [target.target], labels: target.labels ?? {} }] }
      : { http_sd_configs: [{ url: target.discoveryUrl, refresh_interval: "1s" }] }),
    ...(bearer === undefined ? {} : { authorization: { type: "Bearer", credentials: bearer } }),
  };
}

function alertingConfig(alertmanagerUrl: string): object {
  return {
    alertmanagers: [{ static_configs: [{ targets: [new URL(alertmanagerUrl).host] }] }],
  };
}

interface TargetsAnswer {
  readonly data: {
    readonly activeTargets: readonly {
      readonly health: string;
      readonly lastError: string;
      readonly labels: Readonly<Record<string, string>>;
    }[];
  };
}

async function waitForTarget(url: string, job: string): Promise<void> {
  const deadline = performance.now() + TARGET_TIMEOUT_MS;
  let seen = "no target";
  while (performance.now() < deadline) {
    const response = await fetch(`${url}/api/v1/targets?state=active`);
    const { data } = (await response.json()) as TargetsAnswer;
    const targets = data.activeTargets.filter(({ labels }) => labels["job"] === job);
    if (targets.length > 0 && targets.every(({ health }) => health === "up")) return;
    if (targets.length > 0) {
      seen = targets.map(({ health, lastError }) => `${health} ${lastError}`).join(", ");
    }
    await sleep(POLL_MS);
  }
  throw new Error(`job ${job} was not scraped within ${TARGET_TIMEOUT_MS / 1000} s: ${seen}`);
}
