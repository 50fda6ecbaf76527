import type { StreamName, StreamValues } from "./types.ts";

/** How many of the newest values the derived streams look at: 36 for "now" and 216 before those. */
export const STREAM_MEMORY_POINTS = 252;

/** The six derived streams, in the order in which evidence is listed. */
export const STREAMS: readonly StreamName[] = [
  "value",
  "level",
  "shift",
  "spread",
  "ratio",
  "trend",
];

const LEVEL_POINTS = 12;
const SHIFT_POINTS = 36;
const SPREAD_POINTS = 48;
const RATIO_FROM_POINTS = 30;
/** Sum of (i - 23.5)^2 for i = 0..47: turns the covariance with time into a slope per point. */
const TREND_DIVISOR = (SPREAD_POINTS * (SPREAD_POINTS ** 2 - 1)) / 12;

/**
 * Derives the streams of the recipe from the newest values, the point itself last. Everything is
 * summed anew from the values: running sums would remember one 1e18 for ever, and would differ after
 * a restart. `core` is the robust range of the values before the point. A stream that has not seen
 * enough values yet is undefined.
 */
export function deriveStreams(newest: readonly number[], core: number): StreamValues {
  const count = newest.length;
  const value = newest[count - 1] as number;
  const spread = count < SPREAD_POINTS ? undefined : spreadAndTrend(newest);
  return {
    value,
    level: count < LEVEL_POINTS ? undefined : mean(newest, count - LEVEL_POINTS, count),
    shift:
      count < STREAM_MEMORY_POINTS
        ? undefined
        : mean(newest, count - SHIFT_POINTS, count) -
          mean(newest, count - STREAM_MEMORY_POINTS, count - SHIFT_POINTS),
    spread: spread?.deviation,
    ratio: count < RATIO_FROM_POINTS ? undefined : Math.log(Math.abs(value) + 0.02 * core),
    trend: spread?.slope,
  };
}

function mean(values: readonly number[], from: number, to: number): number {
  let sum = 0;
  for (let index = from; index < to; index += 1) sum += values[index] as number;
  return sum / (to - from);
}

/** Population standard deviation and least-squares slope per point of the last 48 values. */
function spreadAndTrend(values: readonly number[]): { deviation: number; slope: number } {
  const from = values.length - SPREAD_POINTS;
  const centre = mean(values, from, values.length);
  let squares = 0;
  let product = 0;
  for (let index = 0; index < SPREAD_POINTS; index += 1) {
    const difference = (values[from + index] as number) - centre;
    squares += difference * difference;
    product += (index - (SPREAD_POINTS - 1) / 2) * difference;
  }
  return { deviation: Math.sqrt(squares / SPREAD_POINTS), slope: product / TREND_DIVISOR };
}
