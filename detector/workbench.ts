import { readFile } from "node:fs/promises";
import type { Log } from "../lib/log.ts";
import { openDatabase } from "../lib/postgres.ts";
import { openFeatureTable } from "./adapters/feature-table.ts";
import { openLabelBook } from "./adapters/label-book.ts";
import { openStore } from "./adapters/postgres.ts";
import { connectPrometheus } from "./adapters/prometheus.ts";
import type { DetectorConfig } from "./config.ts";
import { loadModel } from "./load-model.ts";
import type { Model } from "./model.ts";
import { replaySeries, type ReplayedEpisode } from "./replay.ts";
import { episodeRules } from "./rules.ts";
import { backtest, type Backtest } from "./tools/backtest.ts";
import { inFile, parsePoints, stepOf } from "./tools/csv-points.ts";
import { readHistory, type HistoryProgress, type MetricHistory } from "./tools/history.ts";
import { retrain, type Challenge } from "./tools/retrain.ts";
import { renderReport } from "./tools/report.ts";
import { scoredRows } from "./tools/scored-rows.ts";
import { readWindows } from "./tools/windows.ts";
import { createMaskTest } from "./masks.ts";
import type { AnomalyStore, FeatureTable, LabelBook, StepRange } from "./types.ts";

/** A time of the past, in milliseconds since 1970. */
interface Period {
  readonly from: number;
  readonly to: number;
}

/** What one-shot commands work with; the tables are undefined without AIOPS_DATABASE_URL. */
interface Bench {
  readonly tables:
    | { readonly store: AnomalyStore; readonly labels: LabelBook; readonly features: FeatureTable }
    | undefined;
  readonly model: Model | undefined;
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
  const tables = { store, labels: openLabelBook(database), features: openFeatureTable(database) };
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
  const windows = request.labels === undefined ? undefined : readWindows(request.labels);
  const history = await historyOf(config, request.period, request.onHistory);
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
  const windows = request.masks === undefined ? [] : readWindows(request.masks);
  const history = await historyOf(config, request.period, request.onHistory);
  return onBench(config, log, async ({ tables, model }) => {
    const { from, to } = request.period;
    const known = (await tables?.labels.masks({ from: new Date(from), to: new Date(to) })) ?? [];
    const isKnown = createMaskTest(known);
    const { challenger, ...rest } = retrain(history, {
      champion: model,
      rules: episodeRules(config),
      step: config.intervalSeconds * 1000,
      seed: request.seed,
      trees: model?.forest.roots.length ?? TREES,
      now: new Date(),
      isMasked: (metric, series, t) =>
        isKnown(metric, series, t) ||
        windows.some((window) => window.metric === metric && window.from <= t && t <= window.to),
    });
    const promoted = rest.comparison.promote && !request.compareOnly;
    if (promoted && tables === undefined) {
      throw new Error("AIOPS_DATABASE_URL is needed to keep the model");
    }
    if (promoted) await tables?.store.saveModel(challenger);
    return { ...rest, sha256: challenger.sha256, promoted };
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
  const history = await historyOf(config, period, onHistory);
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

async function historyOf(
  config: DetectorConfig,
  { from, to }: Period,
  onHistory: ((progress: HistoryProgress) => void) | undefined,
): Promise<readonly MetricHistory[]> {
  const step = config.intervalSeconds * 1000;
  const range: StepRange = {
    from: Math.ceil(from / step) * step,
    to: Math.floor(to / step) * step,
    step,
  };
  return readHistory(config.metrics, range, connectPrometheus(config.prometheus), onHistory);
}
