import { Arena } from "./arena.ts";
import type { PastWindow } from "./past-window.ts";

/** How often, per window, what is too old is dropped and the counts fade. */
const SWEEPS_PER_WINDOW = 16;
/** Counts fade with half of the window as time constant, so that a quantile is the recent past's. */
const FADE = Math.exp(-2 / SWEEPS_PER_WINDOW);
/** A full sketch is merged down to this share, so that a merge pays for many pushes. */
const KEPT_SHARE = 0.75;
/** When something was last seen is kept as the lower 16 bits of how many had been pushed: nothing gets this old. */
const OLDEST = 0xffff;

/** Where costs are sorted; shared by all sketches, since merging is synchronous. */
let scratch = new Float64Array(64);

/**
 * About the last `capacity` numbers in `entries` representatives: a number that was seen, when it (or a close
 * neighbour) was last seen, and how often lately. Equal numbers share an entry; when it is full, the closest
 * neighbours are merged, those that were seen often last. So a lone far value is kept exactly and does not coarsen the
 * others, which bins of equal width would, and where most of the numbers are there are enough entries to rank one. `nearestGap` errs by about the median distance of
 * neighbours; what is too old is forgotten up to a sixteenth of the window late. Feed it finite numbers only.
 */
export class SketchWindow implements PastWindow {
  readonly capacity: number;
  private readonly arena: Arena;
  private readonly entries: number;
  private readonly values: number;
  private readonly ticks: number;
  private readonly counts: number;
  /** Where `used` and `pushed` stand: all that changes is in the arena, so that a copy of it is a copy of the past. */
  private readonly numbers: number;
  private readonly sum: number;

  constructor(capacity: number, entries: number, arena = new Arena(16 * (entries + 2))) {
    if (capacity + capacity / SWEEPS_PER_WINDOW > OLDEST - 1) {
      throw new Error(
        `a window of ${capacity} is too long: ages of at most ${OLDEST} are told apart`,
      );
    }
    this.capacity = capacity;
    this.arena = arena;
    this.entries = entries;
    this.values = arena.takeDoubles(entries);
    this.ticks = arena.takeShorts(entries);
    this.counts = arena.takeFloats(entries);
    this.numbers = arena.takeIntegers(2);
    this.sum = arena.takeDoubles(1);
  }

  get size(): number {
    return this.pushed < this.capacity ? this.pushed : this.capacity;
  }

  /** The smallest number; NaN when empty. */
  get min(): number {
    return this.used === 0 ? NaN : this.at(0);
  }

  /** The largest number; NaN when empty. */
  get max(): number {
    return this.used === 0 ? NaN : this.at(this.used - 1);
  }

  push(value: number): void {
    this.pushed += 1;
    if (this.pushed % Math.ceil(this.capacity / SWEEPS_PER_WINDOW) === 0) this.sweep(FADE);
    if (this.used === this.entries && !this.holds(value)) this.makeRoom();
    const at = this.position(value);
    if (!(at < this.used && this.at(at) === value)) this.insert(at, value);
    this.setTick(at, this.pushed & OLDEST);
    this.setCount(at, this.count(at) + 1);
    this.total += 1;
  }

  /** Distance to the nearest number in the window; Infinity when empty. */
  nearestGap(value: number): number {
    const at = this.position(value);
    const above = at < this.used ? this.at(at) - value : Infinity;
    const below = at > 0 ? value - this.at(at - 1) : Infinity;
    return Math.min(above, below);
  }

  /** Interpolated between the middles of the entries' counts; NaN when empty. */
  quantile(fraction: number): number {
    const { used } = this;
    if (used === 0) return NaN;
    const goal = fraction * this.total;
    let below = 0;
    let previous = 0;
    for (let index = 0; index < used; index += 1) {
      const count = this.count(index);
      const middle = below + count / 2;
      if (middle >= goal) {
        if (index === 0) return this.at(0);
        const low = this.at(index - 1);
        return low + (this.at(index) - low) * ((goal - previous) / (middle - previous));
      }
      previous = middle;
      below += count;
    }
    return this.max;
  }

  /**
   * The share of numbers below `value`; NaN when empty. An entry stands for numbers no further away than its nearest
   * neighbour: so a wide gap has nothing in it.
   */
  rank(value: number): number {
    if (this.used === 0) return NaN;
    const above = this.position(value);
    let below = 0;
    for (let index = 0; index < above; index += 1) below += this.count(index);
    if (above < this.used) below += this.count(above) * this.shareBelow(value, above);
    if (above > 0) below -= this.count(above - 1) * (1 - this.shareBelow(value, above - 1));
    return below / this.total;
  }

  /** Forgets everything. */
  clear(): void {
    this.used = 0;
    this.pushed = 0;
    this.total = 0;
  }

  /** What part of an entry's numbers lies below `value`, which no other entry is nearer to than its neighbours. */
  private shareBelow(value: number, index: number): number {
    const before = index > 0 ? this.at(index) - this.at(index - 1) : Infinity;
    const after = index + 1 < this.used ? this.at(index + 1) - this.at(index) : Infinity;
    const reach = before < after ? before : after;
    const offset = value - this.at(index);
    if (offset === 0) return 0.5;
    if (reach === Infinity) return offset > 0 ? 1 : 0;
    const share = 0.5 + offset / (2 * reach);
    return share < 0 ? 0 : share > 1 ? 1 : share;
  }

  /** Entries in use. */
  private get used(): number {
    return this.arena.integers[this.numbers] as number;
  }

  private set used(count: number) {
    this.arena.integers[this.numbers] = count;
  }

  private get pushed(): number {
    return this.arena.integers[this.numbers + 1] as number;
  }

  private set pushed(count: number) {
    this.arena.integers[this.numbers + 1] = count;
  }

  /** Of all counts. */
  private get total(): number {
    return this.arena.doubles[this.sum] as number;
  }

  private set total(sum: number) {
    this.arena.doubles[this.sum] = sum;
  }

  private at(index: number): number {
    return this.arena.doubles[this.values + index] as number;
  }

  private tick(index: number): number {
    return this.arena.shorts[this.ticks + index] as number;
  }

  /** How many numbers ago it was last seen. */
  private age(index: number): number {
    return (this.pushed - this.tick(index)) & OLDEST;
  }

  private count(index: number): number {
    return this.arena.floats[this.counts + index] as number;
  }

  private setValue(index: number, value: number): void {
    this.arena.doubles[this.values + index] = value;
  }

  private setTick(index: number, tick: number): void {
    this.arena.shorts[this.ticks + index] = tick;
  }

  private setCount(index: number, count: number): void {
    this.arena.floats[this.counts + index] = count;
  }

  private holds(value: number): boolean {
    const at = this.position(value);
    return at < this.used && this.at(at) === value;
  }

  /** The first index whose number is >= value. */
  private position(value: number): number {
    let low = 0;
    let high = this.used;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at(middle) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private insert(at: number, value: number): void {
    const { doubles, shorts, floats } = this.arena;
    moveOn(doubles, this.values + at, this.values + this.used);
    moveOn(shorts, this.ticks + at, this.ticks + this.used);
    moveOn(floats, this.counts + at, this.counts + this.used);
    this.setValue(at, value);
    this.setCount(at, 0);
    this.used += 1;
  }

  private move(from: number, to: number): void {
    this.setValue(to, this.at(from));
    this.setTick(to, this.tick(from));
    this.setCount(to, this.count(from));
  }

  /** Drops what was last seen longer ago than the window, and lets the counts fade. */
  private sweep(fade: number): void {
    const { used } = this;
    let kept = 0;
    let total = 0;
    for (let index = 0; index < used; index += 1) {
      if (this.age(index) >= this.capacity) continue;
      this.move(index, kept);
      this.setCount(kept, this.count(kept) * fade);
      total += this.count(kept);
      kept += 1;
    }
    this.used = kept;
    this.total = total;
  }

  private makeRoom(): void {
    this.sweep(1);
    while (this.used > this.entries * KEPT_SHARE) this.mergeClosest();
  }

  /** Merges every entry into the one before it that is no further away, in cost, than neighbours usually are. */
  private mergeClosest(): void {
    const limit = this.medianCost();
    const { used } = this;
    let kept = 0;
    for (let index = 1; index < used; index += 1) {
      if (this.mergeCost(kept, index) > limit) {
        kept += 1;
        this.move(index, kept);
        continue;
      }
      // The place that was seen more often stands for both, so that a merged entry does not creep to one side. Both ends
      // stay where they are: the range is what novelty is divided by.
      const isHeavier = this.count(index) > this.count(kept);
      if (kept > 0 && (isHeavier || index === used - 1)) this.setValue(kept, this.at(index));
      if (this.age(index) < this.age(kept)) this.setTick(kept, this.tick(index));
      this.setCount(kept, this.count(kept) + this.count(index));
    }
    this.used = kept + 1;
  }

  /** The gap, times the root of what would be lumped together: between bins of equal width and of equal count. */
  private mergeCost(low: number, high: number): number {
    const count = this.count(low) + this.count(high);
    return (this.at(high) - this.at(low)) * Math.sqrt(count);
  }

  private medianCost(): number {
    const count = this.used - 1;
    if (scratch.length < count) scratch = new Float64Array(count);
    const costs = scratch.subarray(0, count);
    for (let index = 0; index < count; index += 1) costs[index] = this.mergeCost(index, index + 1);
    return costs.sort()[count >>> 1] as number;
  }
}

/** Makes room at `from`: one further for all up to before `end`. */
function moveOn(
  column: Float64Array | Float32Array | Uint16Array,
  from: number,
  end: number,
): void {
  column.copyWithin(from + 1, from, end);
}
