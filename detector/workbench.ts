import { readFile } from "node:fs/promises";
import type { Log } from "../lib/log.ts";
import { openDatabase } from "../lib/postgres.ts";
import { openFeatureTable } from "./adapters/feature-table.ts";
import { openLabelBook } from "./adapters/label-book.ts";
import { openStore } from "./adapters/postgres.ts";
import { connectPrometheus } from "./adapters/prometheus.ts";
import { openRunbookRecord } from "./adapters/runbook-record.ts";
import type { DetectorConfig } from "./config.ts";
import { loadModel } from "./load-model.ts";
import type { Model } from "./model.ts";
import { replaySeries, type ReplayedEpisode } from "./replay.ts";
import { episodeRules } from "./rules.ts";
import { backtest, type Backtest } from "./tools/backtest.ts";
import { inFile, parsePoints, stepOf } from "./tools/csv-points.ts";
import {
  readHistory,
  type HistoryDeps,
  type HistoryProgress,
  type MetricHistory,
} from "./tools/history.ts";
import { proposeThreshold, type Proposal, type Refusal } from "./tools/propose.ts";
import { retrain, type Challenge } from "./tools/retrain.ts";
import { renderProposal } from "./tools/proposal-report.ts";
import { renderReport } from "./tools/report.ts";
import { scoredRows } from "./tools/scored-rows.ts";
import { trainingShare } from "./tools/training-share.ts";
import { readWindows, type IncidentWindow } from "./tools/windows.ts";
import type { LabelBook } from "./types/labels.ts";
import type { StepRange } from "./types/source.ts";
import type { AnomalyStore, FeatureTable } from "./types/store.ts";
import type { Mask, RunbookRecord } from "./types/training.ts";

/** A time of the past, in milliseconds since 1970. */
interface Period {
  readonly from: number;
  readonly to: number;
}

/** What one-shot commands work with; the tables are undefined without AIOPS_DATABASE_URL. */
interface Bench {
  readonly tables: Tables | undefined;
  readonly model: Model | undefined;
}

interface Tables {
  readonly store: AnomalyStore;
  readonly labels: LabelBook;
  readonly features: FeatureTable;
  readonly runbooks: RunbookRecord;
}

/** Opens the database for one command, with the model that the running detector uses. */
async function onBench<T>(
  config: DetectorConfig,
  log: Log,
  work: (bench: Bench) => Promise<T>,
): Promise<T> {
  const url = config.databaseUrl?.reveal();
  if (url === undefined) {
    return work({
      tables: undefined,
      model: await loadModel({ store: undefined, log, now: new Date() }),
    });
  }
  const database = openDatabase({ url, applicationName: "fettle-workbench", max: 2 }, log);
  const store = openStore(database);
  const tables = {
    ...{ store, labels: openLabelBook(database), features: openFeatureTable(database) },
    runbooks: openRunbookRecord(database),
  };
  try {
    return await work({ tables, model: await loadModel({ store, log, now: new Date() }) });
  } finally {
    await database.close();
  }
}

/** Lives through a CSV file. @throws PointsError that names the file and line */
export async function detectFile(
  path: string,
  config: DetectorConfig,
  log: Log,
): Promise<readonly ReplayedEpisode[]> {
  const points = await readFile(path, "utf8")
    .then(parsePoints)
    .catch((error: unknown) => {
      throw inFile(path, error);
    });
  return onBench({ ...config, databaseUrl: undefined }, log, async ({ model }) =>
    replaySeries(points, {
      forest: model?.forest,
      rules: episodeRules(config),
      step: stepOf(points),
    }),
  );
}

interface BacktestRequest {
  readonly period: Period;
  readonly labels: string | undefined;
  /** Also make a page of it. */
  readonly html?: boolean;
  readonly onHistory?: (progress: HistoryProgress) => void;
  readonly onReplay?: (done: number, total: number) => void;
}

/** Lives through the past of the configured metrics. @throws QueryError, PointsError */
export async function backtestDetector(
  config: DetectorConfig,
  log: Log,
  request: BacktestRequest,
): Promise<Backtest & { readonly html: string | undefined }> {
  const windows = request.labels === undefined ? undefined : windowsIn(request.labels, config);
  const history = await historyOf(config, request.period, {
    onProgress: request.onHistory,
  });
  return onBench(config, log, async ({ model }) => {
    const result = await backtest(history, windows, {
      forest: model?.forest,
      rules: episodeRules(config),
      step: config.intervalSeconds * 1000,
      ...(request.onReplay === undefined ? {} : { onProgress: request.onReplay }),
    });
    const html = request.html === true ? renderReport(result, history, request.period) : undefined;
    return { ...result, html };
  });
}

interface TrainRequest {
  readonly period: Period;
  readonly seed: number;
  readonly masks: string | undefined;
  /** Only compare; the model in use stays. */
  readonly compareOnly: boolean;
  readonly onHistory?: (progress: HistoryProgress) => void;
}

export interface Training extends Omit<Challenge, "challenger"> {
  readonly sha256: string;
  readonly promoted: boolean;
}

/** Trains a challenger on one's own past; it takes over only if the replay says so. @throws Error without a database */
export async function trainDetector(
  config: DetectorConfig,
  log: Log,
  request: TrainRequest,
): Promise<Training> {
  const windows = request.masks === undefined ? [] : windowsIn(request.masks, config);
  const { period, onHistory } = request;
  const share = trainingShare(config.metrics, stepsOf(config, period));
  const history = await historyOf({ ...config, metrics: share.metrics }, period, {
    onProgress: onHistory,
    seriesMax: share.seriesMax,
  });
  return onBench(config, log, async ({ tables, model }) => {
    const { challenger, ...rest } = retrain(history, {
      champion: model,
      rules: episodeRules(config),
      step: config.intervalSeconds * 1000,
      seed: request.seed,
      trees: model?.forest.roots.length ?? TREES,
      now: new Date(),
      masks: [
        ...(await knownMasks(tables, period)),
        ...windows.map((window) => ({ ...window, cause: "file" as const })),
      ],
    });
    const { sha256 } = challenger;
    if (!rest.comparison.promote || request.compareOnly)
      return { ...rest, sha256, promoted: false };
    if (tables === undefined) throw new Error("AIOPS_DATABASE_URL is needed to keep the model");
    await tables.store.saveModel(challenger);
    // The same bytes were in use before another model took over: the row stays where it was.
    const promoted = (await tables.store.newestModel())?.sha256 === sha256;
    const why = promoted ? rest.comparison.why : "it was in use before, and given up for another";
    return {
      ...rest,
      comparison: { ...rest.comparison, promote: promoted, why },
      sha256,
      promoted,
    };
  });
}

/** What anomalies, people, alerts and runbooks say must not be learned. */
async function knownMasks(tables: Tables | undefined, period: Period): Promise<readonly Mask[]> {
  if (tables === undefined) return [];
  const range = { from: new Date(period.from), to: new Date(period.to) };
  return [...(await tables.labels.masks(range)), ...(await tables.runbooks.masks(range))];
}

interface ProposeRequest {
  readonly period: Period;
  readonly html?: boolean;
  readonly onHistory?: (progress: HistoryProgress) => void;
  readonly onReplay?: (done: number, total: number) => void;
}

/** Asks what threshold people's labels speak for. Changes nothing. @throws Error without a database, QueryError */
export async function proposeDetectorThreshold(
  config: DetectorConfig,
  log: Log,
  { period, onHistory, ...request }: ProposeRequest,
): Promise<(Proposal & { readonly html: string | undefined }) | Refusal> {
  if (config.databaseUrl === undefined) {
    throw new Error("AIOPS_DATABASE_URL is needed: labels are kept there");
  }
  const step = config.intervalSeconds * 1000;
  return onBench(config, log, async ({ tables, model }) => {
    const range = { from: new Date(period.from), to: new Date(period.to) };
    const labelled = (await tables?.labels.labelled(range)) ?? [];
    // The running detector had as much before it.
    const from = period.from - config.backfillPoints * step;
    const history = await historyOf(config, { ...period, from }, { onProgress: onHistory });
    const proposal = await proposeThreshold(history, labelled, {
      forest: model?.forest,
      rules: episodeRules(config),
      step,
      from: period.from,
      onProgress: request.onReplay,
    });
    if (proposal.kind === "refused") return proposal;
    const html = request.html === true ? renderProposal(proposal, history, period) : undefined;
    return { ...proposal, html };
  });
}

/** Rows of one COPY. */
const ROWS_PER_WRITE = 5_000;

/** Scores the past and writes it to the feature store. @returns the rows written @throws Error without a database */
export async function backfillFeatures(
  config: DetectorConfig,
  log: Log,
  period: Period,
  onHistory: (progress: HistoryProgress) => void,
): Promise<number> {
  if (config.databaseUrl === undefined)
    throw new Error("AIOPS_DATABASE_URL is needed for the feature store");
  const history = await historyOf(config, period, { onProgress: onHistory });
  return onBench(config, log, async ({ tables, model }) => {
    const options = {
      forest: model?.forest,
      rules: episodeRules(config),
      step: config.intervalSeconds * 1000,
    };
    let written = 0;
    for (const rows of scoredRows(history, options)) {
      for (let at = 0; at < rows.length; at += ROWS_PER_WRITE) {
        await tables?.features.write(rows.slice(at, at + ROWS_PER_WRITE));
      }
      written += rows.length;
    }
    return written;
  });
}

const TREES = 200;

function windowsIn(path: string, { metrics }: DetectorConfig): readonly IncidentWindow[] {
  const names = metrics.map(({ name }) => name);
  return readWindows(path, names);
}

async function historyOf(
  config: DetectorConfig,
  period: Period,
  options: Omit<HistoryDeps, "source"> = {},
): Promise<readonly MetricHistory[]> {
  const source = connectPrometheus(config.prometheus);
  return readHistory(config.metrics, stepsOf(config, period), { ...options, source });
}

/** The whole steps of a period. */
function stepsOf({ intervalSeconds }: DetectorConfig, { from, to }: Period): StepRange {
  const step = intervalSeconds * 1000;
  return { from: Math.ceil(from / step) * step, to: Math.floor(to / step) * step, step };
}
