import type { PointScore, StreamName, ZScore } from "./types/scoring.ts";

/** Shared by all: an object of its own per series, with 17 numbers or bands, is 2 kB. */
const NOTHING = {
  value: undefined,
  level: undefined,
  shift: undefined,
  spread: undefined,
  ratio: undefined,
  trend: undefined,
  residual: undefined,
  residual_level: undefined,
  residual_shift: undefined,
  residual_spread: undefined,
  residual_trend: undefined,
  rank_mean: undefined,
  rank_mean_long: undefined,
  rank_spread: undefined,
  rank_spread_long: undefined,
  rank_low: undefined,
  rank_high: undefined,
  rank_run: undefined,
} as const satisfies PointScore["streams"];
/** In the order in which a score names them: the first of equally heavy ones leads. */
const STREAMS = Object.keys(NOTHING) as readonly StreamName[];

/**
 * What is kept of a series' newest point until the next one comes: all of a strange point; the numbers of a usual one,
 * without names, since sixty small objects for each series are 1.5 kB. Should the series vanish, it is all that an
 * explanation has: of a point that was not strange, the expected band of the value is enough.
 */
export type LastWords = PointScore | number[];

/**
 * `before` is what was kept of the point before, and is written over: 100,000 new lists a minute that live for a minute
 * are what a collector copes with worst (150 MB of them lay about).
 */
export function lastWords(score: PointScore, before?: LastWords): LastWords {
  if (score.score > 0) return score;
  const numbers = pack(score);
  // What grew by pushing has room for half as much again.
  if (!isPacked(before) || before.length !== numbers.length) return numbers.slice();
  for (const [index, number] of numbers.entries()) before[index] = number;
  return before;
}

/** The point as it was scored; of a usual one without the streams and bands that nobody asks for. */
export function tell(words: LastWords): PointScore {
  return isPacked(words) ? unpack(words) : words;
}

/** The score alone: of 100,000 series at once nobody wants more. */
export function scoreOf(words: LastWords): number {
  return isPacked(words) ? 0 : words.score;
}

export function deltaOf(words: LastWords): number {
  return isPacked(words) ? (words[DELTA] as number) : words.delta;
}

export function zscoresOf(words: LastWords): readonly ZScore[] {
  return isPacked(words) ? unpackZScores(words) : words.zscores;
}

function isPacked(words: LastWords | undefined): words is number[] {
  return Array.isArray(words);
}

/** Where numbers stand in a packed point; what is undefined is NaN there. */
const DELTA = 4;
const ROW_LENGTH = 11;
const ROW = ROW_LENGTH + 1;
const Z_NUMBERS = 5;

function pack(score: PointScore): number[] {
  const { t, value, n, baseline, delta, percentChange, seasonal, local, row } = score;
  const band = score.bands.value ?? { low: NaN, high: NaN };
  const numbers = [t, value, n, baseline, delta, percentChange ?? NaN, seasonal ?? NaN];
  numbers.push(local.centre, local.noise, score.novelty === "lasting" ? 1 : 0);
  numbers.push(score.ranked ? 1 : 0, row.length, ...row, band.low, band.high);
  for (const stream of STREAMS) numbers.push(score.weights[stream]);
  for (const { window, z, median, scale, n } of score.zscores) {
    numbers.push(window, z, median, scale, n);
  }
  return numbers;
}

function unpack(words: readonly number[]): PointScore {
  const [t, value, n, baseline, delta, percentChange, seasonal, centre, noise, lasting, ranked] =
    words as Head;
  const rest = ROW + (words[ROW_LENGTH] as number);
  const [low, high] = words.slice(rest) as [number, number];
  const weights = STREAMS.map((stream, index) => [stream, words[rest + 2 + index]]);
  return {
    ...{ t, value, n, score: 0, novelty: lasting === 1 ? "lasting" : "fresh" },
    ...{ ranked: ranked === 1, row: words.slice(ROW, rest), course: [] },
    weights: Object.fromEntries(weights) as PointScore["weights"],
    streams: NOTHING,
    bands: { ...NOTHING, value: Number.isNaN(low) ? undefined : { low, high } },
    zscores: unpackZScores(words),
    ...{ baseline, delta, percentChange: known(percentChange), seasonal: known(seasonal) },
    local: { centre, noise },
  };
}

/** The numbers before the row. */
type Head = [number, number, number, number, number, number, number, number, number, ...number[]];

function unpackZScores(words: readonly number[]): readonly ZScore[] {
  const zscores: ZScore[] = [];
  const first = ROW + (words[ROW_LENGTH] as number) + 2 + STREAMS.length;
  for (let at = first; at < words.length; at += Z_NUMBERS) {
    const [window, z, median, scale, n] = words.slice(at, at + Z_NUMBERS) as ZNumbers;
    zscores.push({ window, z, median, scale, n });
  }
  return zscores;
}

type ZNumbers = [window: number, z: number, median: number, scale: number, n: number];

function known(number: number): number | undefined {
  return Number.isNaN(number) ? undefined : number;
}
