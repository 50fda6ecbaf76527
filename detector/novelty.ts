import type { Arena } from "./arena.ts";
import type { PastWindow } from "./past-window.ts";
import { RecentValues } from "./recent-values.ts";
import type { Band } from "./types/scoring.ts";
import { UsualGaps } from "./usual-gaps.ts";

/** Earlier values of a stream that are needed before anything can be called new. */
const NOVELTY_FROM_VALUES = 30;
/**
 * The newest values that the settled past does not hold yet: a slow ramp is next to what it was a minute ago, but far
 * from everything before. 12 to 72 scored alike on NAB (decision 0011).
 */
export const PENDING_VALUES = 48;

/** Share of q99 - q01 added on both sides of the expected band: about 3.5 sigma for normal noise. */
const BAND_MARGIN = 0.25;

/** The past of one stream: the settled one, the newest values on their way there, and the gaps usual between them. */
export interface NoveltyMemory {
  readonly past: PastWindow;
  readonly pending: RecentValues;
  readonly gaps: UsualGaps;
}

/** How far a value is from what was seen before, in units of the range seen. */
export interface Novelty {
  /** From everything: the recipe's own. */
  readonly fresh: number;
  /** From the settled past, without the newest 48 values. */
  readonly lasting: number;
}

/** Keeps what `past` reaches back, and the pending values before that. */
export function createNoveltyMemory(past: PastWindow, arena?: Arena): NoveltyMemory {
  return { past, pending: new RecentValues(PENDING_VALUES, arena), gaps: new UsualGaps(arena) };
}

/** Begins again with nothing. */
export function forgetNovelty({ past, pending, gaps }: NoveltyMemory): void {
  past.clear();
  pending.clear();
  gaps.clear();
}

/** Between the outermost hundredths of the settled past, with a margin; undefined while there is none. */
export function expectedBand(memory: NoveltyMemory | undefined): Band | undefined {
  if (memory === undefined || memory.past.size === 0) return undefined;
  const low = memory.past.quantile(0.01);
  const high = memory.past.quantile(0.99);
  const margin = BAND_MARGIN * (high - low);
  return { low: low - margin, high: high + margin };
}

/** The smallest and largest of all that is remembered; NaN when nothing is. */
export function extremesOf({ past, pending }: NoveltyMemory): {
  readonly min: number;
  readonly max: number;
} {
  let min = past.size === 0 ? Infinity : past.min;
  let max = past.size === 0 ? -Infinity : past.max;
  for (let back = 0; back < pending.size; back += 1) {
    const value = pending.at(back);
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return min > max ? { min: NaN, max: NaN } : { min, max };
}

/**
 * How new `value` is; then remembers it. `floor` is the smallest range to divide by (finite, > 0).
 */
export function takeNovelty(memory: NoveltyMemory, value: number, floor: number): Novelty {
  const novelty = noveltyOf(memory, value, floor);
  const settled = memory.pending.push(value);
  if (settled !== undefined) memory.past.push(settled);
  return novelty;
}

function noveltyOf(memory: NoveltyMemory, value: number, floor: number): Novelty {
  const { past, pending, gaps } = memory;
  if (past.size + pending.size < NOVELTY_FROM_VALUES) return { fresh: 0, lasting: 0 };
  const far = past.nearestGap(value);
  const near = Math.min(far, pending.nearestGap(value));
  const quantum = far > 0 ? gaps.quantum() : 0;
  if (near > 1e-9 * Math.abs(value)) gaps.push(near);
  const { min, max } = extremesOf(memory);
  return {
    fresh: Math.max(0, near - quantum) / Math.max(max - min, floor),
    lasting:
      past.size < NOVELTY_FROM_VALUES
        ? 0
        : Math.max(0, far - quantum) / Math.max(past.max - past.min, floor),
  };
}
