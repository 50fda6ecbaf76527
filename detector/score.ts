import { Arena } from "./arena.ts";
import { createStrand, rowsOf, takeReading, type Strand, type Reading } from "./strand.ts";
import { FEATURE_COUNT } from "./features.ts";
import { forestScore, type ScaledForest } from "./forest.ts";
import type { PastWindow } from "./past-window.ts";
import { SeasonalMemory } from "./seasonal.ts";
import { SketchWindow } from "./sketch-window.ts";
import type { BaseStream, Point, PointScore, StreamName } from "./types.ts";
import { createZWindows, zScores, type ZWindows } from "./zscore.ts";

/** Rows whose largest feature is smaller are not shown to the forest (98.5 % of points): their score is 0. */
const FOREST_FROM_FEATURE = 0.04;
/**
 * Without a forest the mean of the features takes its place (72.8 against 74.5 on NAB). Divided by this
 * it raises as many paging alerts on NAB's shared half at the same published threshold.
 */
const FALLBACK_MEAN_AT_ONE = 0.29;
/** A slow change counts a little less than a sudden one (decision 0011: 0.8 to 1 differ by noise). */
const LASTING_GAIN = 0.9;
/** Two weeks of 5-minute points, 2.8 days of 1-minute points; 96 entries score as all 4032 (decision 0012). */
const VALUE_POINTS = 10_080;
const VALUE_ENTRIES = 96;
/** A week of minutes: weekends must be known before they come again. */
const RESIDUAL_POINTS = 10_080;
const RESIDUAL_ENTRIES = 64;
/** The season is asked once a whole week was seen, and while it explains 30 % of the range (decision 0010). */
const SEASON_FROM_DAYS = 7;
const SEASON_RESIDUAL_SHARE = 0.7;
/** The columns of one series: 11 streams, the newest values twice, the season, and three windows for z-scores. */
const SERIES_BYTES = 29_088;
const BASELINE_WINDOW_POINTS = 288;

/** Everything that the scorer remembers of one series (about 40 kB). Changed in place by `scorePoint`. */
export interface SeriesState {
  points: number;
  readonly values: Strand;
  readonly residuals: Strand;
  readonly season: SeasonalMemory;
  readonly zWindows: ZWindows;
}

export function createSeriesState(): SeriesState {
  const arena = new Arena(SERIES_BYTES);
  const past = (): PastWindow => new SketchWindow(VALUE_POINTS, VALUE_ENTRIES, arena);
  const pastResidual = (): PastWindow => new SketchWindow(RESIDUAL_POINTS, RESIDUAL_ENTRIES, arena);
  return {
    points: 0,
    values: createStrand(past, { ratio: true, arena }),
    residuals: createStrand(pastResidual, { ratio: false, arena }),
    season: new SeasonalMemory(arena),
    zWindows: createZWindows(arena),
  };
}

/** What the season says about a point. */
interface Season {
  readonly expected: number;
  readonly reading: Reading;
  /** Whether the days are alike enough for the residual to count. */
  readonly trusted: boolean;
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
  const { value } = point;
  if (!Number.isFinite(value)) return undefined;
  state.points += 1;
  const own = takeReading(state.values, value);
  const season = takeSeason(state, point, own);
  const zscores = zScores(state.zWindows, state.values.memories.value.past, value, own.core);
  const baseline =
    zscores.find((score) => score.window === BASELINE_WINDOW_POINTS)?.median ?? value;
  for (const window of state.zWindows) window.push(value);

  const best = bestVerdict(verdictsOf(own, season), forest);
  const delta = value - baseline;
  return {
    ...point,
    n: state.points,
    score: best.score,
    novelty: best.novelty,
    row: best.row,
    weights: weightsOf(best, own, season),
    streams: allStreams(own.streams, season?.reading.streams ?? NOTHING_KNOWN),
    bands: allStreams(own.bands, season?.reading.bands ?? NOTHING_KNOWN),
    zscores,
    baseline,
    delta,
    percentChange: baseline === 0 ? undefined : (100 * delta) / Math.abs(baseline),
    seasonal: season?.trusted === true ? season.expected : undefined,
    local: localOf(own, season),
  };
}

/** Takes the residual into its strand, also while it does not count: its past is needed when it does. */
function takeSeason(
  { season, residuals }: SeriesState,
  { t, value }: Point,
  own: Reading,
): Season | undefined {
  const expected = season.expect(t, value);
  const known = season.daysKnown(t) >= SEASON_FROM_DAYS;
  season.push(t, value);
  if (expected === undefined) return undefined;
  const reading = takeReading(residuals, value - expected);
  return {
    expected,
    reading,
    trusted: known && reading.core < SEASON_RESIDUAL_SHARE * own.core,
  };
}

/** One row that the forest is asked about. */
interface Verdict {
  readonly row: readonly number[];
  readonly novelty: "fresh" | "lasting";
  readonly score: number;
}

function verdictsOf(own: Reading, season: Season | undefined): Omit<Verdict, "score">[] {
  const readings = season?.trusted
    ? // A residual has no ratio; the value's stands in, so that a row always says seven things.
      [own, withRatio(season.reading, own)]
    : [own];
  return readings.flatMap((reading) => {
    const rows = rowsOf(reading);
    return [
      { row: rows.fresh, novelty: "fresh" as const },
      { row: rows.lasting, novelty: "lasting" as const },
    ];
  });
}

function withRatio(reading: Reading, { fresh, lasting }: Reading): Reading {
  return {
    ...reading,
    fresh: { ...reading.fresh, ratio: fresh.ratio },
    lasting: { ...reading.lasting, ratio: lasting.ratio },
  };
}

/** The row that says most. The first of equals, so that nothing depends on rounding. */
function bestVerdict(
  rows: readonly Omit<Verdict, "score">[],
  forest: ScaledForest | undefined,
): Verdict {
  return rows
    .map((row) => ({
      ...row,
      score: scoreRow(row.row, forest) * (row.novelty === "lasting" ? LASTING_GAIN : 1),
    }))
    .reduce((best, next) => (next.score > best.score ? next : best));
}

function scoreRow(row: readonly number[], forest: ScaledForest | undefined): number {
  if (forest === undefined) {
    const mean = row.reduce((sum, feature) => sum + feature, 0) / FEATURE_COUNT;
    return Math.min(1, mean / FALLBACK_MEAN_AT_ONE);
  }
  return Math.max(...row) < FOREST_FROM_FEATURE ? 0 : forestScore(forest, row);
}

const NO_WEIGHTS = { value: 0, level: 0, shift: 0, spread: 0, ratio: 0, trend: 0 } as const;
const NOTHING_KNOWN = {
  value: undefined,
  level: undefined,
  shift: undefined,
  spread: undefined,
  ratio: undefined,
  trend: undefined,
} as const;

/** A residual that does not count says nothing, whatever it is. */
function weightsOf(
  { novelty }: Verdict,
  own: Reading,
  season: Season | undefined,
): PointScore["weights"] {
  return allStreams(own[novelty], season?.trusted === true ? season.reading[novelty] : NO_WEIGHTS);
}

function allStreams<T>(
  own: Readonly<Record<BaseStream, T>>,
  residual: Readonly<Record<BaseStream, T>>,
): Record<StreamName, T> {
  return {
    ...own,
    residual: residual.value,
    residual_level: residual.level,
    residual_shift: residual.shift,
    residual_spread: residual.spread,
    residual_trend: residual.trend,
  };
}

/** Where the point was to be expected: where the values were, or where the season led from there. */
function localOf(own: Reading, season: Season | undefined): PointScore["local"] {
  const centre = season?.trusted
    ? season.expected + orZero(season.reading.centre)
    : orZero(own.centre);
  const noise = orZero(season?.trusted ? season.reading.noise : own.noise);
  return { centre, noise: Math.max(noise, 1e-9 * Math.abs(centre)) };
}

function orZero(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}
