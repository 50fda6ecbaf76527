import { SortedWindow } from "./sorted-window.ts";

/** Points that a stream remembers (two weeks of 5-minute points, 2.8 days of 1-minute points). */
const NOVELTY_WINDOW_POINTS = 4032;
/** Earlier values of a stream that are needed before anything can be called new. */
const NOVELTY_FROM_VALUES = 30;
const GAPS_REMEMBERED = 300;
const GAPS_NEEDED = 5;

/**
 * What a stream remembers of its past. The one seam between the recipe and how the past is kept:
 * exact today, binned for thousands of series later (issue 3).
 */
export interface PastWindow {
  readonly capacity: number;
  readonly size: number;
  readonly min: number;
  readonly max: number;
  quantile(fraction: number): number;
  nearestGap(value: number): number;
  push(value: number): void;
}

/** The past of one stream, and the gaps that its new values usually leave. */
export interface NoveltyMemory {
  readonly past: PastWindow;
  readonly gaps: SortedWindow;
}

export function createNoveltyMemory(): NoveltyMemory {
  return {
    past: new SortedWindow(NOVELTY_WINDOW_POINTS),
    gaps: new SortedWindow(GAPS_REMEMBERED),
  };
}

/**
 * How far `value` is from everything that the stream has shown, in units of its past range; then
 * remembers the value. `floor` is the smallest range to divide by (finite, > 0).
 */
export function takeNovelty(memory: NoveltyMemory, value: number, floor: number): number {
  const { past, gaps } = memory;
  let novelty = 0;
  if (past.size >= NOVELTY_FROM_VALUES) {
    const gap = past.nearestGap(value);
    // Counters and other quantised values meet unseen integers all the time: a usual gap is not news.
    const quantum = gaps.size > GAPS_NEEDED ? 1.5 * gaps.quantile(0.1) : 0;
    novelty = Math.max(0, gap - quantum) / Math.max(past.max - past.min, floor);
    if (gap > 1e-9 * Math.abs(value)) gaps.push(gap);
  }
  past.push(value);
  return novelty;
}
