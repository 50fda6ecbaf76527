import { Arena } from "./arena.ts";

/** Gaps that are remembered: 32 score as 300 do on NAB (decision 0012). */
const GAPS_REMEMBERED = 32;
/** Few are enough: a count that is mostly 0 leaves no more than one gap per new integer (4 of 5 scored alike on NAB). */
const GAPS_NEEDED = 1;

/** Ranks up to the 10 % quantile of 32, and the next one. */
const SMALLEST_NEEDED = 5;

const scratch = new Float32Array(SMALLEST_NEEDED);

/** The gaps that new values of a stream usually leave, in order of arrival. */
export class UsualGaps {
  private readonly arena: Arena;
  private readonly first: number;
  private readonly count: number;

  constructor(arena = new Arena(4 * (GAPS_REMEMBERED + 2))) {
    this.arena = arena;
    this.first = arena.takeFloats(GAPS_REMEMBERED);
    this.count = arena.takeIntegers(1);
  }

  private get pushed(): number {
    return this.arena.integers[this.count] as number;
  }

  private set pushed(count: number) {
    this.arena.integers[this.count] = count;
  }

  clear(): void {
    this.pushed = 0;
  }

  push(gap: number): void {
    this.arena.floats[this.first + (this.pushed % GAPS_REMEMBERED)] = gap;
    this.pushed += 1;
  }

  /**
   * 1.5 x the 10 % quantile of the recent gaps, 0 until there are two. Counters and other quantised
   * values meet unseen integers all the time: a usual gap is not news.
   */
  quantum(): number {
    const count = Math.min(this.pushed, GAPS_REMEMBERED);
    if (count <= GAPS_NEEDED) return 0;
    const rank = 0.1 * (count - 1);
    const below = Math.floor(rank);
    const smallest = this.smallest(count);
    const low = smallest[below] as number;
    return 1.5 * (low + ((smallest[below + 1] as number) - low) * (rank - below));
  }

  /** The five smallest in order, by insertion: sorting all took more than a third of the time per point. */
  private smallest(count: number): Float32Array {
    const { floats } = this.arena;
    scratch.fill(Infinity);
    for (let index = 0; index < count; index += 1) {
      const gap = floats[this.first + index] as number;
      let at = SMALLEST_NEEDED - 1;
      if (gap >= (scratch[at] as number)) continue;
      for (; at > 0 && gap < (scratch[at - 1] as number); at -= 1) {
        scratch[at] = scratch[at - 1] as number;
      }
      scratch[at] = gap;
    }
    return scratch;
  }
}
