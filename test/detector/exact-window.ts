import type { PastWindow } from "../../detector/past-window.ts";

const FIRST_CAPACITY = 64;

/**
 * The oracle of the sketch: the last `capacity` numbers, kept both in order of arrival and sorted. One push costs one binary
 * search and one move of at most `capacity` numbers (about 0.3 µs at 4032). Memory grows with use.
 * A class because identity and mutable state are the point. Feed it finite numbers only.
 */
export class ExactWindow implements PastWindow {
  readonly capacity: number;
  #sorted: Float64Array;
  #arrivals: Float64Array;
  #oldest = 0;
  #size = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    const first = Math.min(capacity, FIRST_CAPACITY);
    this.#sorted = new Float64Array(first);
    this.#arrivals = new Float64Array(first);
  }

  get size(): number {
    return this.#size;
  }

  /** The smallest number; NaN when empty. */
  get min(): number {
    return this.#size === 0 ? NaN : this.#at(0);
  }

  /** The largest number; NaN when empty. */
  get max(): number {
    return this.#size === 0 ? NaN : this.#at(this.#size - 1);
  }

  push(value: number): void {
    if (this.#size === this.capacity) {
      this.#replaceOldest(value);
      return;
    }
    if (this.#size === this.#sorted.length) this.#grow();
    const at = this.#position(value);
    this.#sorted.copyWithin(at + 1, at, this.#size);
    this.#sorted[at] = value;
    this.#arrivals[this.#size] = value;
    this.#size += 1;
  }

  /** Linear interpolation between the closest ranks (numpy's default); NaN when empty. */
  quantile(fraction: number): number {
    if (this.#size === 0) return NaN;
    const rank = fraction * (this.#size - 1);
    const below = Math.floor(rank);
    const low = this.#at(below);
    if (below === this.#size - 1) return low;
    return low + (this.#at(below + 1) - low) * (rank - below);
  }

  /** Distance to the nearest number in the window; Infinity when empty. */
  nearestGap(value: number): number {
    const at = this.#position(value);
    const above = at < this.#size ? this.#at(at) - value : Infinity;
    const below = at > 0 ? value - this.#at(at - 1) : Infinity;
    return Math.min(above, below);
  }

  rank(value: number): number {
    if (this.#size === 0) return NaN;
    const below = this.#position(value);
    let equal = 0;
    while (below + equal < this.#size && this.#at(below + equal) === value) equal += 1;
    return (below + equal / 2) / this.#size;
  }

  clear(): void {
    this.#size = 0;
    this.#oldest = 0;
  }

  #at(index: number): number {
    return this.#sorted[index] as number;
  }

  /** The first index whose number is >= value. */
  #position(value: number): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#at(middle) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #replaceOldest(value: number): void {
    const leaving = this.#position(this.#arrivals[this.#oldest] as number);
    const entering = this.#position(value);
    if (entering > leaving) {
      this.#sorted.copyWithin(leaving, leaving + 1, entering);
      this.#sorted[entering - 1] = value;
    } else {
      this.#sorted.copyWithin(entering + 1, entering, leaving);
      this.#sorted[entering] = value;
    }
    this.#arrivals[this.#oldest] = value;
    this.#oldest = (this.#oldest + 1) % this.capacity;
  }

  #grow(): void {
    const length = Math.min(this.capacity, this.#sorted.length * 2);
    const sorted = new Float64Array(length);
    const arrivals = new Float64Array(length);
    sorted.set(this.#sorted);
    arrivals.set(this.#arrivals);
    this.#sorted = sorted;
    this.#arrivals = arrivals;
  }
}
