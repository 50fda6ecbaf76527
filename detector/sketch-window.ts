import { Arena } from "./arena.ts";
import type { PastWindow } from "./past-window.ts";

/** How often, per window, what is too old is dropped and the counts fade. */
const SWEEPS_PER_WINDOW = 16;
/** Counts fade with half of the window as time constant, so that a quantile is the recent past's. */
const FADE = Math.exp(-2 / SWEEPS_PER_WINDOW);
/** A full sketch is merged down to this share, so that a merge pays for many pushes. */
const KEPT_SHARE = 0.75;

/** Where gaps are sorted; shared by all sketches, since merging is synchronous. */
let scratch = new Float64Array(64);

/**
 * About the last `capacity` numbers in `entries` representatives: a number that was seen, when it (or a close
 * neighbour) was last seen, and how often lately. Equal numbers share an entry; when it is full, the closest
 * neighbours are merged. So dense regions lose what does not matter there, and a lone far value is kept exactly and
 * does not coarsen the others, which bins of equal width would. `nearestGap` errs by about the median distance of
 * neighbours; what is too old is forgotten up to a sixteenth of the window late. Feed it finite numbers only.
 */
export class SketchWindow implements PastWindow {
  readonly capacity: number;
  private readonly values: Float64Array;
  private readonly ticks: Uint32Array;
  private readonly counts: Float32Array;
  private readonly sweepEvery: number;
  private used = 0;
  private pushed = 0;
  private total = 0;

  constructor(capacity: number, entries: number, arena = new Arena(16 * (entries + 1))) {
    this.capacity = capacity;
    this.sweepEvery = Math.ceil(capacity / SWEEPS_PER_WINDOW);
    this.values = arena.float64(entries);
    this.ticks = arena.uint32(entries);
    this.counts = arena.float32(entries);
  }

  get size(): number {
    return Math.min(this.pushed, this.capacity);
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
    if (this.pushed % this.sweepEvery === 0) this.sweep(FADE);
    if (this.used === this.values.length && !this.holds(value)) this.makeRoom();
    const at = this.position(value);
    if (!(at < this.used && this.at(at) === value)) this.insert(at, value);
    this.ticks[at] = this.pushed;
    this.counts[at] = (this.counts[at] as number) + 1;
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
    if (this.used === 0) return NaN;
    const goal = fraction * this.total;
    let below = 0;
    let previous = 0;
    for (let index = 0; index < this.used; index += 1) {
      const count = this.counts[index] as number;
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

  private at(index: number): number {
    return this.values[index] as number;
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
    for (const column of [this.values, this.ticks, this.counts]) {
      column.copyWithin(at + 1, at, this.used);
    }
    this.values[at] = value;
    this.counts[at] = 0;
    this.used += 1;
  }

  private move(from: number, to: number): void {
    this.values[to] = this.values[from] as number;
    this.ticks[to] = this.ticks[from] as number;
    this.counts[to] = this.counts[from] as number;
  }

  /** Drops what was last seen longer ago than the window, and lets the counts fade. */
  private sweep(fade: number): void {
    let kept = 0;
    this.total = 0;
    for (let index = 0; index < this.used; index += 1) {
      if (this.pushed - (this.ticks[index] as number) >= this.capacity) continue;
      this.move(index, kept);
      this.counts[kept] = (this.counts[kept] as number) * fade;
      this.total += this.counts[kept] as number;
      kept += 1;
    }
    this.used = kept;
  }

  private makeRoom(): void {
    this.sweep(1);
    while (this.used > this.values.length * KEPT_SHARE) this.mergeClosest();
  }

  /** Merges every entry into the one before it that is no further away than neighbours usually are. */
  private mergeClosest(): void {
    const limit = this.medianGap();
    let kept = 0;
    for (let index = 1; index < this.used; index += 1) {
      if (this.at(index) - this.at(kept) > limit) {
        kept += 1;
        this.move(index, kept);
        continue;
      }
      this.ticks[kept] = Math.max(this.ticks[kept] as number, this.ticks[index] as number);
      this.counts[kept] = (this.counts[kept] as number) + (this.counts[index] as number);
      // Both ends stay where they are: the range is what novelty is divided by.
      if (index === this.used - 1 && kept > 0) this.values[kept] = this.at(index);
    }
    this.used = kept + 1;
  }

  private medianGap(): number {
    const count = this.used - 1;
    if (scratch.length < count) scratch = new Float64Array(count);
    const gaps = scratch.subarray(0, count);
    for (let index = 0; index < count; index += 1)
      gaps[index] = this.at(index + 1) - this.at(index);
    return gaps.sort()[count >>> 1] as number;
  }
}
