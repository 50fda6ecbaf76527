import { Arena } from "./arena.ts";

/** The newest `capacity` numbers in order of arrival. A class because identity and mutable state are the point. */
export class RecentValues {
  private readonly arena: Arena;
  private readonly first: number;
  private readonly count: number;
  private readonly capacity: number;

  constructor(capacity: number, arena = new Arena(8 * (capacity + 1))) {
    this.arena = arena;
    this.first = arena.takeDoubles(capacity);
    this.count = arena.takeIntegers(1);
    this.capacity = capacity;
  }

  get size(): number {
    return this.used;
  }

  private get used(): number {
    return this.arena.integers[this.count] as number;
  }

  private set used(count: number) {
    this.arena.integers[this.count] = count;
  }

  private get doubles(): Float64Array {
    return this.arena.doubles;
  }

  /** The number that came `back` numbers before the newest (0 is the newest); NaN beyond the first. */
  at(back: number): number {
    return back < this.used ? (this.doubles[this.first + this.used - 1 - back] as number) : NaN;
  }

  /** Returns the number that had to leave, undefined while there is room. */
  push(value: number): number | undefined {
    const { doubles, first, used } = this;
    if (used < this.capacity) {
      doubles[first + used] = value;
      this.used = used + 1;
      return undefined;
    }
    const leaving = doubles[first];
    doubles.copyWithin(first, first + 1, first + used);
    doubles[first + used - 1] = value;
    return leaving;
  }

  /** Mean of the numbers from `back` to before `until`, counted back from the newest; NaN when there are too few. */
  mean(back: number, until = 0): number {
    if (back > this.used) return NaN;
    const { doubles } = this;
    const end = this.first + this.used;
    let sum = 0;
    for (let index = end - back; index < end - until; index += 1) {
      sum += doubles[index] as number;
    }
    return sum / (back - until);
  }

  /** Population standard deviation of the newest `count` numbers; NaN when there are too few. */
  deviation(count: number): number {
    const centre = this.mean(count);
    let squares = 0;
    for (let back = 0; back < count; back += 1) squares += (this.at(back) - centre) ** 2;
    return Math.sqrt(squares / count);
  }

  /** Distance to the nearest of them; Infinity when there are none. */
  nearestGap(value: number): number {
    const { doubles } = this;
    const end = this.first + this.used;
    let nearest = Infinity;
    for (let index = this.first; index < end; index += 1) {
      const gap = value - (doubles[index] as number);
      const distance = gap < 0 ? -gap : gap;
      if (distance < nearest) nearest = distance;
    }
    return nearest;
  }

  clear(): void {
    this.used = 0;
  }

  /** The newest `count` numbers (all by default), oldest first. */
  toArray(count = this.used): number[] {
    const end = this.first + this.used;
    return [...this.doubles.subarray(Math.max(this.first, end - count), end)];
  }
}
