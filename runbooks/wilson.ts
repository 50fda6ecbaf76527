/** A share with its 95 % interval by Wilson, which stays honest for few cases and for shares near 0 and 1. */
export interface Share {
  readonly count: number;
  readonly of: number;
  readonly low: number;
  readonly high: number;
}

/** The normal distribution's two-sided 95 % quantile. */
const Z = 1.959963984540054;
/** Enough for a percentage, and the same text on every machine. */
const DIGITS = 4;

/** Of nothing, nothing is known: the interval is everything. */
export function shareOf(count: number, of: number): Share {
  if (of === 0) return { count, of, low: 0, high: 1 };
  const share = count / of;
  const scale = 1 + Z ** 2 / of;
  const middle = (share + Z ** 2 / (2 * of)) / scale;
  const reach = (Z / scale) * Math.sqrt((share * (1 - share)) / of + Z ** 2 / (4 * of ** 2));
  return {
    count,
    of,
    low: count === 0 ? 0 : rounded(middle - reach),
    high: count === of ? 1 : rounded(middle + reach),
  };
}

function rounded(value: number): number {
  return Number(Math.min(1, Math.max(0, value)).toFixed(DIGITS));
}
