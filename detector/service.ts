import { systemClock, type Clock } from "../lib/clock.ts";
import { buildApp, listen } from "../lib/http.ts";
import { newId } from "../lib/id.ts";
import { StopStack, type RunningService } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { createRegistry } from "../lib/metrics.ts";
import { openDatabase, type Database } from "../lib/postgres.ts";
import { openFencedStore } from "./adapters/fenced-store.ts";
import { openGroupTable } from "./adapters/group-table.ts";
import { openFeatureTable } from "./adapters/feature-table.ts";
import { openChannels } from "./adapters/channels.ts";
import { openLabelBook } from "./adapters/label-book.ts";
import { openOutboxTable } from "./adapters/outbox-table.ts";
import { openStore } from "./adapters/postgres.ts";
import { connectPrometheus } from "./adapters/prometheus.ts";
import { openTrainingTurns } from "./adapters/training-turns.ts";
import type { DetectorConfig } from "./config.ts";
import type { BackfillProgress, CycleDeps } from "./cycle.ts";
import { samplesAround } from "./around.ts";
import { askDownTargets } from "./down-targets.ts";
import { FeatureLog } from "./feature-log.ts";
import { modelFinder } from "./find-model.ts";
import { LEASE_TIMES, type GroupLeases, type LeaseTimes } from "./group-leases.ts";
import { healthOf } from "./health.ts";
import { loadModel } from "./load-model.ts";
import { createDetectorMetrics, type DetectorMetrics } from "./metrics.ts";
import { followNewestModel, modelInUse } from "./model-in-use.ts";
import type { Model } from "./model.ts";
import { faultsOf, openGroups, type Replica } from "./open-groups.ts";
import { openPostOffice } from "./post-office.ts";
import { createRecentAnomalies } from "./recent.ts";
import { addRoutes, type RouteDeps } from "./routes.ts";
import { scheduleRetraining, type RetrainingDeps } from "./retraining.ts";
import { trainInProcess } from "./retraining-process.ts";
import { episodeRules } from "./rules.ts";
import { runForever, type ForeverDeps } from "./run-forever.ts";
import type { Anomaly, AnomalyArchive } from "./types/anomaly.ts";
import type { ChannelName } from "./types/delivery.ts";
import type { AnomalyStore } from "./types/store.ts";
import { verifyAnomaly, type VerifyDeps } from "./verify.ts";
import type { WatchedMetric } from "./watched-metric.ts";

/** A person waits for it. */
const VERIFY_TIMEOUT_MS = 60_000;

/** What the demo and tests replace. */
export interface DetectorOverrides {
  /** An accelerated clock makes the detector live faster; it must agree with the times of the samples. */
  readonly clock?: Clock;
  /** Called when an anomaly is published, and again when it closes. */
  readonly onAnomaly?: (anomaly: Anomaly) => void;
  /** Called while a metric's past is read at the start. */
  readonly onProgress?: (progress: BackfillProgress) => void;
  /** How fast replicas notice each other's end. */
  readonly leaseTimes?: LeaseTimes;
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
  const { clock = systemClock, leaseTimes: times = LEASE_TIMES } = overrides;
  const step = config.intervalSeconds * 1000;
  const registry = createRegistry("detector");
  const metrics = createDetectorMetrics(registry);
  const database = openConfiguredDatabase(config, log, stack);
  const channels = openChannels(config.channels, log);
  const names = channels.map(({ name }) => name);
  const store = database && openStore(database, names);
  const recent = createRecentAnomalies();
  const source = connectPrometheus({ ...config.prometheus, log });
  const { first, model } = await takeModel(config, { store, metrics, clock, log });
  const { leases, journal, groups, budget } = await openGroups(
    config,
    { times, ...replicaIn({ database, store, names }, times) },
    { metrics, clock, log, stack },
  );
  const { watched, shown } = groups;

  const durable = database && openOutboxTable(database);
  const outbox = openPostOffice({
    ...{ channels, durable, journal, metrics, log, openAnomalies: () => openAnomalies(watched) },
    clock: systemClock, // the receivers' time, also when the detector lives faster
  });
  const health = healthOf({
    ...{ watched, outbox, modelSha256: () => model.current()?.sha256 },
    database: database && faultsOf(journal, leases),
    places: () => leases.places(),
  });
  const app = buildApp({ service: "detector", log, registry, readiness: health }, (routes) => {
    const archive = store ?? recent;
    const findModel = modelFinder({ store, model: first });
    addRoutes(routes, {
      ...{ watched: shown, archive, apiToken: config.apiToken, threshold: config.scoreThreshold },
      labels: database && openLabelBook(database),
      ...answersFrom({ source, step, clock, archive, findModel }),
    });
  });
  const server = await listen(app, { host: config.host, port: config.port });
  stack.add("http server", async () => server.stop());

  outbox.start();
  stack.add("outboxes", async () => outbox.stop());
  startCycles(stack, {
    source,
    pageThreshold: config.pageThreshold,
    rules: episodeRules(config),
    onAnomaly: (anomaly) => {
      recent.remember(anomaly);
      overrides.onAnomaly?.(anomaly);
    },
    onProgress: overrides.onProgress ?? (() => undefined),
    features: openFeatures(config, { database, metrics, log, stack }),
    ...{ model, budget, metrics, journal, outbox, clock, step, log, groups, leases },
  });
  // Training follows the calendar, and asks for the days before now: not those of a detector that lives faster.
  if (clock === systemClock) startRetraining(config, stack, { model, metrics, log });
  return { url: server.url, stop: async () => stack.stop() };
}

/** The model to begin with, and the one that is in use from then on; /metrics says when that was trained. */
async function takeModel(
  config: DetectorConfig,
  parts: Pick<Durable, "store"> & {
    readonly metrics: DetectorMetrics;
    readonly clock: Clock;
    readonly log: Log;
  },
): Promise<{ readonly first: Model | undefined; readonly model: ForeverDeps["model"] }> {
  const { store, metrics, clock, log } = parts;
  const first = await loadModel({ store, log, now: clock.now() });
  const onChange = ({ trainedAt }: Model) => {
    for (const { name } of config.metrics) metrics.modelTrained(name, trainedAt);
  };
  if (first !== undefined) onChange(first);
  return { first, model: modelInUse(first, { store, log, onChange }) };
}

/** What the routes ask Prometheus itself. */
function answersFrom({
  source,
  step,
  clock,
  archive,
  findModel,
}: Pick<VerifyDeps, "source" | "findModel"> & {
  readonly archive: AnomalyArchive;
  readonly step: number;
  readonly clock: Clock;
}): Pick<RouteDeps, "around" | "verify"> {
  return {
    around: async (anomaly) => samplesAround(anomaly, { source, step, now: () => clock.now() }),
    verify: async (anomaly) => {
      const signal = AbortSignal.timeout(VERIFY_TIMEOUT_MS);
      const memoryOf = async (id: string) => archive.memoryOf(id);
      return verifyAnomaly(anomaly, { source, findModel, memoryOf, signal });
    },
  };
}

function startCycles(
  stack: StopStack,
  deps: Omit<ForeverDeps, "signal" | "downTargets"> & { readonly leases: GroupLeases },
): void {
  const stopping = new AbortController();
  const { signal } = stopping;
  const downTargets: CycleDeps["downTargets"] = async (at) =>
    askDownTargets(at, { ...deps, signal });
  const cycles = runForever({ ...deps, signal, downTargets });
  const following = followNewestModel(deps.model, { clock: systemClock, signal });
  stack.add("cycles", async () => {
    stopping.abort();
    await Promise.all([cycles, following]);
    await deps.leases.stop(); // before the slower steps: others wait for our groups
  });
}

function startRetraining(
  { databaseUrl, ...config }: DetectorConfig,
  stack: StopStack,
  deps: Pick<RetrainingDeps, "model" | "metrics" | "log">,
): void {
  if (config.retrainCron === "off") return;
  if (databaseUrl === undefined) {
    deps.log.info("no retraining: it needs AIOPS_DATABASE_URL");
    return;
  }
  const name = "fettle-retraining";
  // Its own connection: a turn holds it for as long as training takes.
  const database = openDatabase(
    { url: databaseUrl.reveal(), applicationName: name, max: 1 },
    deps.log,
  );
  stack.add("database of retraining", async () => database.close());
  const { retrainCron: cron, retrainTimeZone: timeZone } = config;
  const { retrainDays: days, retrainMemoryMb: memoryMb } = config;
  const retraining = scheduleRetraining(
    { cron, timeZone },
    {
      ...deps,
      turns: openTrainingTurns(database, systemClock),
      train: async (signal) =>
        trainInProcess({ days, memoryMb, environment: config.trainingEnvironment() }, signal),
    },
  );
  stack.add("retraining", async () => retraining.stop());
}

interface Durable {
  readonly database: Database | undefined;
  readonly store: AnomalyStore | undefined;
  readonly names: readonly ChannelName[];
}

/** A replica has a name of its own, and under it its groups in the database. */
function replicaIn(
  { database, store, names }: Durable,
  { leaseMs }: LeaseTimes,
): Omit<Replica, "times"> {
  const replica = newId("replica");
  if (database === undefined || store === undefined) return { replica, tables: undefined };
  const table = openGroupTable(database, { replica, leaseMs });
  return { replica, tables: { store, table, fenced: openFencedStore(database, names, replica) } };
}

function openConfiguredDatabase(
  { databaseUrl }: DetectorConfig,
  log: Log,
  stack: StopStack,
): Database | undefined {
  if (databaseUrl === undefined) return undefined;
  const options = { url: databaseUrl.reveal(), applicationName: "fettle-detector", max: 4 };
  const database = openDatabase(options, log);
  stack.add("database", async () => database.close());
  return database;
}

function openFeatures(
  { features, featuresRetentionDays: retentionDays }: DetectorConfig,
  deps: Pick<CycleDeps, "metrics" | "log"> & {
    readonly database: Database | undefined;
    readonly stack: StopStack;
  },
): FeatureLog | undefined {
  if (!features || deps.database === undefined) return undefined;
  const table = openFeatureTable(deps.database);
  // The wall clock: partitions and retention follow the calendar also when the detector lives faster.
  const kept = new FeatureLog({ ...deps, table, retentionDays, clock: systemClock });
  kept.start();
  deps.stack.add("feature rows", async () => kept.stop());
  return kept;
}

function openAnomalies(watched: readonly WatchedMetric[]): readonly Anomaly[] {
  return watched.flatMap(({ series }) =>
    [...series.values()].flatMap(({ anomaly }) => anomaly ?? []),
  );
}
