import { systemClock, type Clock } from "../lib/clock.ts";
import { buildApp, listen } from "../lib/http.ts";
import { StopStack, type RunningService } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { createRegistry } from "../lib/metrics.ts";
import { openDatabase } from "../lib/postgres.ts";
import { openStore } from "./adapters/postgres.ts";
import { connectPrometheus } from "./adapters/prometheus.ts";
import { connectWebhook } from "./adapters/webhook.ts";
import type { DetectorConfig } from "./config.ts";
import type { BackfillProgress, CycleDeps } from "./cycle.ts";
import { healthOf } from "./health.ts";
import { Journal } from "./journal.ts";
import { loadModel } from "./load-model.ts";
import { createDetectorMetrics, type DetectorMetrics } from "./metrics.ts";
import type { Model } from "./model.ts";
import { Outbox } from "./outbox.ts";
import { createRecentAnomalies } from "./recent.ts";
import { redeliver } from "./redeliver.ts";
import { addRoutes } from "./routes.ts";
import { episodeRules } from "./rules.ts";
import { runForever } from "./run-forever.ts";
import type { Anomaly, AnomalyStore } from "./types.ts";
import { watchAll } from "./watch-all.ts";
import type { WatchedMetric } from "./watched-metric.ts";

/** What the demo and tests replace. */
export interface DetectorOverrides {
  /** An accelerated clock makes the detector live faster; it must agree with the times of the samples. */
  readonly clock?: Clock;
  /** Called when an anomaly is published, and again when it closes. */
  readonly onAnomaly?: (anomaly: Anomaly) => void;
  /** Called while a metric's past is read at the start. */
  readonly onProgress?: (progress: BackfillProgress) => void;
}

/**
 * The running detector. Resolves when it listens; the past is read in the background (see /ready).
 *
 * @throws when the port is taken
 */
export async function startDetector(
  config: DetectorConfig,
  log: Log,
  overrides: DetectorOverrides = {},
): Promise<RunningService> {
  const stack = new StopStack(log);
  try {
    return await start(config, { log, overrides, stack });
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

interface Frame {
  readonly log: Log;
  readonly overrides: DetectorOverrides;
  readonly stack: StopStack;
}

async function start(
  config: DetectorConfig,
  { log, overrides, stack }: Frame,
): Promise<RunningService> {
  const clock = overrides.clock ?? systemClock;
  const step = config.intervalSeconds * 1000;
  const registry = createRegistry("detector");
  const metrics = createDetectorMetrics(registry);
  const store = openConfiguredStore(config, log, stack);
  const journal = new Journal({ store, metrics, log });
  const outbox = openOutbox(config, { metrics, log, clock, journal });
  const recent = createRecentAnomalies();
  const budget = { max: config.maxSeries, used: 0 };
  const model = await loadModel({ store, log, now: clock.now() });
  const { backfillPoints } = config;
  const since = { store, log, now: clock.now(), step, backfillPoints, budget };
  const watched = await watchAll(config.metrics, since);
  showStart(config, metrics, { model, watched });

  const health = healthOf({
    watched,
    database: store === undefined ? undefined : journal,
    webhook: outbox,
    modelSha256: model?.sha256,
  });
  const app = buildApp({ service: "detector", log, registry, readiness: health }, (routes) => {
    addRoutes(routes, { recent: async (limit) => store?.recent(limit) ?? recent.list(limit) });
  });
  const server = await listen(app, { host: config.host, port: config.port });
  stack.add("http server", async () => server.stop());

  if (outbox !== undefined) {
    await redeliver({ store, outbox, log, now: clock.now() });
    outbox.start();
    stack.add("outbox", async () => outbox.stop());
  }
  startCycles(watched, stack, {
    source: connectPrometheus({ url: config.promUrl, token: config.promToken }),
    rules: episodeRules(config),
    onAnomaly: (anomaly) => {
      recent.remember(anomaly);
      overrides.onAnomaly?.(anomaly);
    },
    onProgress: overrides.onProgress ?? (() => undefined),
    now: () => clock.now(),
    ...{ model, budget, metrics, journal, outbox, clock, step, log },
  });
  return { url: server.url, stop: async () => stack.stop() };
}

function startCycles(
  watched: readonly WatchedMetric[],
  stack: StopStack,
  deps: Omit<CycleDeps, "signal">,
): void {
  const stopping = new AbortController();
  const cycles = runForever(watched, { ...deps, signal: stopping.signal });
  stack.add("cycles", async () => {
    stopping.abort();
    await cycles;
  });
}

/** What /metrics says before the first cycle: the model in use, and anomalies that are still open. */
function showStart(
  config: DetectorConfig,
  metrics: DetectorMetrics,
  {
    model,
    watched,
  }: { readonly model: Model | undefined; readonly watched: readonly WatchedMetric[] },
): void {
  for (const { name } of config.metrics) {
    if (model !== undefined) metrics.modelTrained(name, model.trainedAt);
  }
  for (const { query, series } of watched) {
    for (const one of series.values()) {
      metrics.show(query.name, one);
      if (one.anomaly !== undefined) metrics.showInfo(one.anomaly);
    }
  }
}

function openConfiguredStore(
  { databaseUrl }: DetectorConfig,
  log: Log,
  stack: StopStack,
): AnomalyStore | undefined {
  if (databaseUrl === undefined) return undefined;
  const options = { url: databaseUrl.reveal(), applicationName: "fettle-detector", max: 4 };
  const database = openDatabase(options, log);
  stack.add("database", async () => database.close());
  return openStore(database);
}

function openOutbox(
  { webhookUrl, webhookSecret }: DetectorConfig,
  deps: Pick<CycleDeps, "metrics" | "log" | "clock"> & { readonly journal: Journal },
): Outbox | undefined {
  if (webhookUrl === undefined) return undefined;
  return new Outbox({
    ...deps,
    poster: connectWebhook({ url: webhookUrl, secret: webhookSecret }),
    onDelivered: async (id, status, at) => deps.journal.delivered(id, status, at),
  });
}
