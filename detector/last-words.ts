import type { PointScore } from "./types/scoring.ts";

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

/**
 * What is kept of a series' newest point until the next one comes. Should the series vanish, it is all that an explanation
 * has: of a point that was not strange, the expected band of the value is enough.
 */
export function lastWords(score: PointScore): PointScore {
  if (score.score > 0) return score;
  return { ...score, streams: NOTHING, bands: { ...NOTHING, value: score.bands.value } };
}
