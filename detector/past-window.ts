/**
 * What a stream remembers of its past. The one seam between the recipe and how the past is kept: a sketch in
 * production, exact in the tests that measure what the sketch loses.
 */
export interface PastWindow {
  /** Numbers that the window reaches back. */
  readonly capacity: number;
  /** Numbers in it; at most `capacity`. */
  readonly size: number;
  readonly min: number;
  readonly max: number;
  quantile(fraction: number): number;
  nearestGap(value: number): number;
  /** The share of numbers below, half of the equal ones included; NaN when empty. */
  rank(value: number): number;
  push(value: number): void;
  clear(): void;
}
