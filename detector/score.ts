import { Arena } from "./arena.ts";
import { COURSE_POINTS } from "./course.ts";
import { createStrand, takeReading, type Strand, type Reading } from "./strand.ts";
import type { ScaledForest } from "./forest.ts";
import type { PastWindow } from "./past-window.ts";
import { createRanks, takeRank, type RankReading, type Ranks } from "./ranks.ts";
import { SeasonalMemory } from "./seasonal.ts";
import { SketchWindow } from "./sketch-window.ts";
import type {
  BaseStream,
  Point,
  PointScore,
  RankStream,
  StreamName,
  ZScore,
} from "./types/scoring.ts";
import { bestVerdict, type Verdict } from "./verdict.ts";
import { createZWindows, zScores, type ZWindows } from "./zscore.ts";

/** What is larger (an unset `Double.MAX_VALUE`) is no measurement, and neither its square nor its gap in single precision a number: a gap. */
const LARGEST_VALUE = 1e30;
/** Two weeks of 5-minute points, 2.8 days of 1-minute points; 80 entries score as all 4032 (decision 0012). */
const VALUE_POINTS = 10_080;
const VALUE_ENTRIES = 80;
/** A week of minutes: weekends must be known before they come again. */
const RESIDUAL_POINTS = 10_080;
const RESIDUAL_ENTRIES = 48;
/** The season is asked once a whole week was seen, and while it explains 30 % of the range (decision 0010). */
const SEASON_FROM_DAYS = 7;
const SEASON_RESIDUAL_SHARE = 0.7;
/** Ranks are of residuals as soon as these range less than the values, and until they range far more: each change begins anew, a day blind. */
const RANKED_RESIDUAL_SHARE = 0.9;
const RANKED_RESIDUAL_SHARE_KEPT = 1.5;
/** Means and spreads of ranks are looked at for new extremes only. */
const RANK_ENTRIES = 32;
/** The columns of one series: 17 streams, the newest values twice, ranks, the season, and three windows for z-scores. */
const SERIES_BYTES = 33_160;
const BASELINE_WINDOW_POINTS = 288;

/** Everything that the scorer remembers of one series: 33 kB, and nothing beside them. Changed in place by `scorePoint`. */
export type SeriesState = ArrayBuffer;

/** What a state consists of; bound to one state at a time, since a hundred objects per series would cost 6 kB. */
interface Parts {
  /** Where in the arena's doubles the points are counted. */
  readonly count: number;
  readonly values: Strand;
  readonly residuals: Strand;
  readonly season: SeasonalMemory;
  readonly ranks: Ranks;
  readonly zWindows: ZWindows;
}

const arena = new Arena(SERIES_BYTES);
const parts = createParts();
if (arena.left !== 0) throw new Error(`SERIES_BYTES is ${arena.left} too many`);
const blank = arena.doubles.slice().buffer;

function createParts(): Parts {
  const past = (): PastWindow => new SketchWindow(VALUE_POINTS, VALUE_ENTRIES, arena);
  const pastResidual = (): PastWindow => new SketchWindow(RESIDUAL_POINTS, RESIDUAL_ENTRIES, arena);
  return {
    count: arena.takeDoubles(1),
    values: createStrand(past, { ratio: true, arena }),
    residuals: createStrand(pastResidual, { ratio: false, arena }),
    season: new SeasonalMemory(arena),
    ranks: createRanks(() => new SketchWindow(RESIDUAL_POINTS, RANK_ENTRIES, arena), arena),
    zWindows: createZWindows(arena),
  };
}

/** A series that has seen nothing. */
export function createSeriesState(): SeriesState {
  return blank.slice();
}

/** How many points a series has had. */
export function pointsOf(state: SeriesState): number {
  return new Float64Array(state, 8 * parts.count, 1)[0] as number;
}

/** The newest `count` values of a series, oldest first; it remembers 252, and gives all by default. */
export function newestValues(state: SeriesState, count?: number): number[] {
  arena.use(state);
  return parts.values.newest.toArray(count);
}

/** What the season says about a point. */
interface Season {
  readonly expected: number;
  readonly reading: Reading;
  /** Whether a whole week was seen. */
  readonly known: boolean;
  /** Whether the days are alike enough for the residual to count. */
  readonly trusted: boolean;
}

/**
 * Scores one point against everything before it, then remembers it. Production, tests and backtests
 * share this function: no clock, no randomness, no look ahead, so the scores of a prefix are the
 * prefix of the scores. A value that is not finite, or beyond 1e30, is a gap: undefined, and nothing is remembered.
 */
export function scorePoint(
  state: SeriesState,
  point: Point,
  forest: ScaledForest | undefined,
): PointScore | undefined {
  const { value } = point;
  if (!(Math.abs(value) <= LARGEST_VALUE)) return undefined;
  arena.use(state);
  const n = (arena.doubles[parts.count] as number) + 1;
  arena.doubles[parts.count] = n;
  const own = takeReading(parts.values, value);
  const season = takeSeason(point, own);
  const counting = season?.trusted === true ? season : undefined;
  const ranks = takeRanks(parts.ranks, own, season);
  const zscores = zScores(parts.zWindows, parts.values.memories.value.past, value, own.core);
  for (const window of parts.zWindows) window.push(value);

  const best = bestVerdict({ own, residual: counting?.reading, ranks }, forest);
  return {
    ...point,
    n,
    score: best.score,
    novelty: best.novelty,
    ranked: best.ranked,
    row: best.row,
    course: best.score > 0 ? courseOf(best, counting) : [],
    weights: weightsOf(best, own, counting, ranks),
    ...knownOf(own, season, ranks),
    zscores,
    ...changeFrom(zscores, value),
    seasonal: counting?.expected,
    local: localOf(own, counting),
  };
}

function knownOf(
  own: Reading,
  season: Season | undefined,
  ranks: RankReading | undefined,
): Pick<PointScore, "streams" | "bands"> {
  const { streams, bands } = season?.reading ?? { streams: NOTHING_KNOWN, bands: NOTHING_KNOWN };
  return {
    streams: withRanks(allStreams(own.streams, streams), ranks?.streams ?? NO_RANK_KNOWN),
    bands: withRanks(allStreams(own.bands, bands), ranks?.bands ?? NO_RANK_KNOWN),
  };
}

/** Against the median of the last 288 values. */
function changeFrom(
  zscores: readonly ZScore[],
  value: number,
): Pick<PointScore, "baseline" | "delta" | "percentChange"> {
  const baseline = zscores.find(({ window }) => window === BASELINE_WINDOW_POINTS)?.median ?? value;
  const delta = value - baseline;
  const percent = (100 * delta) / Math.abs(baseline);
  return { baseline, delta, percentChange: Number.isFinite(percent) ? percent : undefined };
}

/** Takes the residual into its strand, also while it does not count: its past is needed when it does. */
function takeSeason({ t, value }: Point, own: Reading): Season | undefined {
  const { season, residuals } = parts;
  const expected = season.expect(t, value);
  const known = season.daysKnown(t) >= SEASON_FROM_DAYS;
  season.push(t, value);
  if (expected === undefined) return undefined;
  const reading = takeReading(residuals, value - expected);
  return {
    expected,
    reading,
    known,
    trusted: known && reading.core < SEASON_RESIDUAL_SHARE * own.core,
  };
}

/** A residual is ranked where it says more than the value: where the season explains any of the range. */
function takeRanks(
  ranks: Ranks,
  own: Reading,
  season: Season | undefined,
): RankReading | undefined {
  const share = ranks.origin.seasonal ? RANKED_RESIDUAL_SHARE_KEPT : RANKED_RESIDUAL_SHARE;
  const seasonal = season?.known === true && season.reading.core < share * own.core;
  return takeRank(ranks, seasonal ? season.reading.rank : own.rank, seasonal);
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

const NO_RANK_WEIGHTS = rankStreams(0);
const NO_RANK_KNOWN = rankStreams(undefined);

function rankStreams<T>(of: T): Record<RankStream, T> {
  return {
    rank_mean: of,
    rank_mean_long: of,
    rank_spread: of,
    rank_spread_long: of,
    rank_low: of,
    rank_high: of,
    rank_run: of,
  };
}

/** A residual that does not count says nothing, whatever it is. */
function weightsOf(
  { novelty }: Verdict,
  own: Reading,
  counting: Season | undefined,
  ranks: RankReading | undefined,
): PointScore["weights"] {
  return withRanks(
    allStreams(own[novelty], counting?.reading[novelty] ?? NO_WEIGHTS),
    ranks?.[novelty] ?? NO_RANK_WEIGHTS,
  );
}

/** What a slow change is named from, in the terms in which it was found: ranks look further back. */
function courseOf({ ranked }: Verdict, counting: Season | undefined): number[] {
  const { ranks, residuals, values } = parts;
  if (ranked) return ranks.newest.toArray();
  return (counting === undefined ? values : residuals).newest.toArray(COURSE_POINTS);
}

function withRanks<T>(
  streams: Record<Exclude<StreamName, RankStream>, T>,
  ranks: Readonly<Record<RankStream, T>>,
): Record<StreamName, T> {
  return { ...streams, ...ranks };
}

function allStreams<T>(
  own: Readonly<Record<BaseStream, T>>,
  residual: Readonly<Record<BaseStream, T>>,
): Record<Exclude<StreamName, RankStream>, T> {
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
function localOf(own: Reading, counting: Season | undefined): PointScore["local"] {
  const { centre, noise } = counting?.reading ?? own;
  const expected = (counting?.expected ?? 0) + orZero(centre);
  return { centre: expected, noise: Math.max(orZero(noise), 1e-9 * Math.abs(expected)) };
}

function orZero(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}
