import { Arena } from "./arena.ts";
import { SATURATION } from "./features.ts";
import { normalQuantile } from "./normal.ts";
import {
  createNoveltyMemory,
  expectedBand,
  forgetNovelty,
  takeNovelty,
  type NoveltyMemory,
} from "./novelty.ts";
import type { PastWindow } from "./past-window.ts";
import { RecentValues } from "./recent-values.ts";
import type { Band, RankStream } from "./types/scoring.ts";

/** In the order in which evidence is listed. */
const RANK_STREAMS: readonly RankStream[] = [
  "rank_mean",
  "rank_mean_long",
  "rank_spread",
  "rank_spread_long",
  "rank_low",
  "rank_high",
  "rank_run",
];

const SHORT_POINTS = 48;
const LONG_POINTS = 144;
/** A rank further out is not known from ten thousand values. */
const SCORE_LIMIT = 3.5;
/** Until then the past of the ranks is too short to say what is usual (a day of minutes). */
const SETTLED_POINTS = 1440;
const WEIGHT = 0.5;
/** The smallest ranges to divide by, in deviations of a normal distribution. */
const FLOORS: Readonly<Record<RankStream, number>> = {
  rank_mean: 0.5,
  rank_mean_long: 0.3,
  rank_spread: 0.3,
  rank_spread_long: 0.2,
  rank_low: 0.5,
  rank_high: 0.5,
  rank_run: 3,
};

/**
 * A series' ranks: each value as the normal score of its rank in the past. What a value is worth then no longer depends
 * on how far the far ones reach, so a lasting change shows that would drown in the range of bursts.
 */
export interface Ranks {
  readonly newest: RecentValues;
  readonly memories: Readonly<Record<RankStream, NoveltyMemory>>;
  readonly origin: RankOrigin;
}

/** What is ranked, and for how many points: kept in the arena, like all that changes. */
class RankOrigin {
  private readonly arena: Arena;
  private readonly first: number;

  constructor(arena: Arena) {
    this.arena = arena;
    this.first = arena.takeIntegers(2);
  }

  /** Whether residuals are ranked, or values; what was learned of the one says nothing of the other. */
  get seasonal(): boolean {
    return this.arena.integers[this.first] === 1;
  }

  get points(): number {
    return this.arena.integers[this.first + 1] as number;
  }

  begin(seasonal: boolean): void {
    this.arena.integers[this.first] = seasonal ? 1 : 0;
    this.arena.integers[this.first + 1] = 0;
  }

  count(): void {
    this.arena.integers[this.first + 1] = this.points + 1;
  }
}

/** What the ranks say about a point; everything is measured against the points before it. */
export interface RankReading {
  readonly streams: Readonly<Record<RankStream, number | undefined>>;
  readonly bands: Readonly<Record<RankStream, Band | undefined>>;
  readonly fresh: Readonly<Record<RankStream, number>>;
  readonly lasting: Readonly<Record<RankStream, number>>;
}

/** Ranks that have seen nothing. `createPast` makes the window of one stream. */
export function createRanks(createPast: () => PastWindow, arena?: Arena): Ranks {
  const origin = new RankOrigin(arena ?? new Arena(8));
  const memory = (): NoveltyMemory => createNoveltyMemory(createPast(), arena);
  return {
    newest: new RecentValues(LONG_POINTS, arena),
    memories: mapStreams(memory),
    origin,
  };
}

/** Takes the share of the past below a point, as its residual ranks or as its value does. NaN says nothing. */
export function takeRank(ranks: Ranks, rank: number, seasonal: boolean): RankReading | undefined {
  if (ranks.origin.seasonal !== seasonal) startAgain(ranks, seasonal);
  if (Number.isNaN(rank)) return undefined;
  ranks.origin.count();
  const { newest, memories } = ranks;
  newest.push(Math.max(-SCORE_LIMIT, Math.min(SCORE_LIMIT, normalQuantile(rank))));
  const streams = deriveRankStreams(newest);
  const bands = mapStreams((stream) => expectedBand(memories[stream]));
  const isSettled = ranks.origin.points > SETTLED_POINTS;
  const novelties = mapStreams((stream) => {
    const derived = streams[stream];
    const novelty =
      derived === undefined ? undefined : takeNovelty(memories[stream], derived, FLOORS[stream]);
    return isSettled ? novelty : undefined;
  });
  return {
    streams,
    bands,
    // A run is next to what it was a minute ago by nature: nothing of it would ever be new.
    fresh: mapStreams((stream) =>
      weigh(novelties[stream]?.[stream === "rank_run" ? "lasting" : "fresh"]),
    ),
    lasting: mapStreams((stream) => weigh(novelties[stream]?.lasting)),
  };
}

/** The rows that the forest is asked about. What says most takes the two columns that the value has otherwise. */
export function rankRowsOf({ fresh, lasting }: RankReading): {
  readonly fresh: number[];
  readonly lasting: number[];
} {
  return { fresh: rankRow(fresh), lasting: rankRow(lasting) };
}

function rankRow(weights: Readonly<Record<RankStream, number>>): number[] {
  const sorted = RANK_STREAMS.map((stream) => Math.min(1, weights[stream])).sort((a, b) => b - a);
  return [sorted[0] ?? 0, ...sorted.slice(0, 6)];
}

function weigh(novelty = 0): number {
  return (novelty * WEIGHT) / SATURATION;
}

function startAgain(ranks: Ranks, seasonal: boolean): void {
  ranks.origin.begin(seasonal);
  ranks.newest.clear();
  for (const stream of RANK_STREAMS) forgetNovelty(ranks.memories[stream]);
}

function deriveRankStreams(newest: RecentValues): RankReading["streams"] {
  const isShort = newest.size < SHORT_POINTS;
  const isLong = newest.size < LONG_POINTS;
  const halves = isShort ? undefined : halvesOf(newest);
  return {
    rank_mean: isShort ? undefined : newest.mean(SHORT_POINTS),
    rank_mean_long: isLong ? undefined : newest.mean(LONG_POINTS),
    rank_spread: isShort ? undefined : newest.deviation(SHORT_POINTS),
    rank_spread_long: isLong ? undefined : newest.deviation(LONG_POINTS),
    rank_low: halves?.low,
    rank_high: halves?.high,
    rank_run: Math.sqrt(runOf(newest)),
  };
}

/** Points in a row on the side of the median that the newest is on; 144 at most. */
function runOf(newest: RecentValues): number {
  const isAbove = newest.at(0) > 0;
  let run = 1;
  while (run < newest.size && newest.at(run) > 0 === isAbove) run += 1;
  return run;
}

const sorted = new Float64Array(SHORT_POINTS);

/** Means of the lower and of the upper half: a shift moves both, bursts only one. */
function halvesOf(newest: RecentValues): { readonly low: number; readonly high: number } {
  for (let back = 0; back < SHORT_POINTS; back += 1) sorted[back] = newest.at(back);
  sorted.sort();
  let low = 0;
  let high = 0;
  const half = SHORT_POINTS / 2;
  for (let index = 0; index < half; index += 1) {
    low += sorted[index] as number;
    high += sorted[half + index] as number;
  }
  return { low: low / half, high: high / half };
}

function mapStreams<T>(of: (stream: RankStream) => T): Record<RankStream, T> {
  return {
    rank_mean: of("rank_mean"),
    rank_mean_long: of("rank_mean_long"),
    rank_spread: of("rank_spread"),
    rank_spread_long: of("rank_spread_long"),
    rank_low: of("rank_low"),
    rank_high: of("rank_high"),
    rank_run: of("rank_run"),
  };
}
