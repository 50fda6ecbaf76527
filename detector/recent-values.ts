import { Arena } from "./arena.ts";

/** The newest `capacity` numbers in order of arrival. A class because identity and mutable state are the point. */
export class RecentValues {
  private readonly buffer: Float64Array;
  private used = 0;

  constructor(capacity: number, arena = new Arena(8 * capacity)) {
    this.buffer = arena.float64(capacity);
  }

  get size(): number {
    return this.used;
  }

  /** The number that came `back` numbers before the newest (0 is the newest); NaN beyond the first. */
  at(back: number): number {
    return back < this.used ? (this.buffer[this.used - 1 - back] as number) : NaN;
  }

  /** Returns the number that had to leave, undefined while there is room. */
  push(value: number): number | undefined {
    if (this.used < this.buffer.length) {
      this.buffer[this.used] = value;
      this.used += 1;
      return undefined;
    }
    const leaving = this.buffer[0];
    this.buffer.copyWithin(0, 1);
    this.buffer[this.used - 1] = value;
    return leaving;
  }

  /** Mean of the numbers from `back` to before `until`, counted back from the newest; NaN when there are too few. */
  mean(back: number, until = 0): number {
    if (back > this.used) return NaN;
    let sum = 0;
    for (let index = this.used - back; index < this.used - until; index += 1) {
      sum += this.buffer[index] as number;
    }
    return sum / (back - until);
  }

  /** The numbers, oldest first. */
  toArray(): number[] {
    return [...this.buffer.subarray(0, this.used)];
  }
}
