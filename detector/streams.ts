import type { RecentValues } from "./recent-values.ts";
import type { BaseStream } from "./types/scoring.ts";

/** How many of the newest values the derived streams look at: 36 for "now" and 216 before those. */
export const STREAM_MEMORY_POINTS = 252;

/** The six derived streams, in the order in which evidence is listed. */
export const BASE_STREAMS: readonly BaseStream[] = [
  "value",
  "level",
  "shift",
  "spread",
  "ratio",
  "trend",
];

const LEVEL_POINTS = 12;
const SHIFT_POINTS = 36;
/** Points that spread and trend look back at. */
export const SPREAD_POINTS = 48;
const RATIO_FROM_POINTS = 30;
/** Sum of (i - 23.5)^2 for i = 0..47: turns the covariance with time into a slope per point. */
const TREND_DIVISOR = (SPREAD_POINTS * (SPREAD_POINTS ** 2 - 1)) / 12;

/** One number per stream; undefined while the stream has not seen enough points. */
export type BaseValues = Readonly<Record<BaseStream, number | undefined>>;

/**
 * Derives the streams of the recipe from the newest values, the point itself last. Everything is
 * summed anew from the values: running sums would remember one 1e18 for ever, and would differ after
 * a restart. `core` is the robust range of the values before the point. A stream that has not seen
 * enough values yet is undefined.
 */
export function deriveStreams(newest: RecentValues, core: number): BaseValues {
  const count = newest.size;
  const value = newest.at(0);
  const spread = count < SPREAD_POINTS ? undefined : spreadAndTrend(newest);
  return {
    value,
    level: count < LEVEL_POINTS ? undefined : newest.mean(LEVEL_POINTS),
    shift:
      count < STREAM_MEMORY_POINTS
        ? undefined
        : newest.mean(SHIFT_POINTS) - newest.mean(STREAM_MEMORY_POINTS, SHIFT_POINTS),
    spread: spread?.deviation,
    ratio: count < RATIO_FROM_POINTS ? undefined : Math.log(Math.abs(value) + 0.02 * core),
    trend: spread?.slope,
  };
}

/** Population standard deviation and least-squares slope per point of the last 48 values. */
function spreadAndTrend(newest: RecentValues): { deviation: number; slope: number } {
  const centre = newest.mean(SPREAD_POINTS);
  let squares = 0;
  let product = 0;
  for (let index = 0; index < SPREAD_POINTS; index += 1) {
    const difference = newest.at(SPREAD_POINTS - 1 - index) - centre;
    squares += difference * difference;
    product += (index - (SPREAD_POINTS - 1) / 2) * difference;
  }
  return { deviation: Math.sqrt(squares / SPREAD_POINTS), slope: product / TREND_DIVISOR };
}
