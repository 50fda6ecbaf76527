import { featureRow, FEATURE_COUNT, rangeFloor, weigh, type PastRange } from "./features.ts";
import { forestScore, type ScaledForest } from "./forest.ts";
import {
  createNoveltyMemory,
  takeNovelty,
  type NoveltyMemory,
  type PastWindow,
} from "./novelty.ts";
import { deriveStreams, STREAM_MEMORY_POINTS, STREAMS } from "./streams.ts";
import type { Band, Bands, Point, PointScore, StreamName, StreamValues } from "./types.ts";
import { createZWindows, zScores, type ZWindows } from "./zscore.ts";

/** Rows whose largest feature is smaller are not shown to the forest (98.5 % of points): their score is 0. */
const FOREST_FROM_FEATURE = 0.04;
/**
 * Without a forest the mean of the features takes its place (72.8 against 74.5 on NAB). Divided by this
 * it raises as many paging alerts on NAB's shared half at the same published threshold.
 */
const FALLBACK_MEAN_AT_ONE = 0.29;
/** Share of q99 - q01 added on both sides of the expected band: about 3.5 sigma for normal noise. */
const BAND_MARGIN = 0.25;
const BASELINE_WINDOW_POINTS = 288;
const CENTRE_POINTS = 12;

/** Everything that the scorer remembers of one series. Changed in place by `scorePoint`. */
export interface SeriesState {
  points: number;
  readonly newest: number[];
  readonly memories: Readonly<Record<StreamName, NoveltyMemory>>;
  readonly zWindows: ZWindows;
}

export function createSeriesState(): SeriesState {
  return {
    points: 0,
    newest: [],
    memories: {
      value: createNoveltyMemory(),
      level: createNoveltyMemory(),
      shift: createNoveltyMemory(),
      spread: createNoveltyMemory(),
      ratio: createNoveltyMemory(),
      trend: createNoveltyMemory(),
    },
    zWindows: createZWindows(),
  };
}

/**
 * Scores one point against everything before it, then remembers it. Production, tests and backtests
 * share this function: no clock, no randomness, no look ahead, so the scores of a prefix are the
 * prefix of the scores. A value that is not finite is a gap: undefined, and nothing is remembered.
 */
export function scorePoint(
  state: SeriesState,
  point: Point,
  forest: ScaledForest | undefined,
): PointScore | undefined {
  if (!Number.isFinite(point.value)) return undefined;
  const past = state.memories.value.past;
  const pastRange = rangeOf(past);
  const centre = meanOfNewest(state.newest);
  remember(state, point.value);
  const streams = deriveStreams(state.newest, pastRange.core);
  const bands = expectedBands(state);
  const noise = state.memories.spread.past.quantile(0.5);
  const zscores = zScores(state.zWindows, past, point.value, pastRange.core);
  const baseline =
    zscores.find((score) => score.window === BASELINE_WINDOW_POINTS)?.median ?? point.value;

  const novelty = takeNovelties(state, streams, pastRange);
  const weights = weigh(novelty);
  const row = featureRow(weights);
  for (const window of state.zWindows) window.push(point.value);
  const delta = point.value - baseline;
  return {
    ...point,
    n: state.points,
    score: scoreRow(row, forest),
    row,
    weights,
    streams,
    bands,
    zscores,
    baseline,
    delta,
    percentChange: baseline === 0 ? undefined : (100 * delta) / Math.abs(baseline),
    local: { centre, noise: Math.max(Number.isNaN(noise) ? 0 : noise, 1e-9 * Math.abs(centre)) },
  };
}

function rangeOf(past: PastWindow): PastRange {
  if (past.size === 0) return { core: 1e-12, range: 1e-12 };
  const core = Math.max(
    past.quantile(0.99) - past.quantile(0.01),
    1e-9 * Math.abs(past.quantile(0.5)),
    1e-12,
  );
  return { core, range: Math.max(past.max - past.min, core) };
}

function meanOfNewest(newest: readonly number[]): number {
  const last = newest.slice(-CENTRE_POINTS);
  return last.reduce((sum, value) => sum + value, 0) / Math.max(1, last.length);
}

function remember(state: SeriesState, value: number): void {
  state.points += 1;
  state.newest.push(value);
  if (state.newest.length > STREAM_MEMORY_POINTS) state.newest.shift();
}

function expectedBands({ memories }: SeriesState): Bands {
  const band = (stream: StreamName): Band | undefined => {
    const past = memories[stream].past;
    if (past.size === 0) return undefined;
    const low = past.quantile(0.01);
    const high = past.quantile(0.99);
    const margin = BAND_MARGIN * (high - low);
    return { low: low - margin, high: high + margin };
  };
  return {
    value: band("value"),
    level: band("level"),
    shift: band("shift"),
    spread: band("spread"),
    ratio: band("ratio"),
    trend: band("trend"),
  };
}

function takeNovelties(
  state: SeriesState,
  streams: StreamValues,
  pastRange: PastRange,
): StreamValues {
  const novelties: Record<StreamName, number | undefined> = { ...streams };
  for (const stream of STREAMS) {
    const value = streams[stream];
    if (value === undefined) continue;
    novelties[stream] = takeNovelty(state.memories[stream], value, rangeFloor(stream, pastRange));
  }
  return novelties;
}

function scoreRow(row: readonly number[], forest: ScaledForest | undefined): number {
  if (forest === undefined) {
    const mean = row.reduce((sum, feature) => sum + feature, 0) / FEATURE_COUNT;
    return Math.min(1, mean / FALLBACK_MEAN_AT_ONE);
  }
  return Math.max(...row) < FOREST_FROM_FEATURE ? 0 : forestScore(forest, row);
}
