import { Arena } from "./arena.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const BINS_PER_DAY = 96;
const BIN_MS = DAY_MS / BINS_PER_DAY;
const DAYS = 7;
/** One day more than is looked back at: the bin of a week ago must still be there when today's begins. */
const BINS = (DAYS + 1) * BINS_PER_DAY;
const DAYS_NEEDED = 2;

/**
 * What a series did at the same time of the last seven days, as means of quarters of an hour (3 kB). Times are read as
 * UTC, so an hour of summer time is an hour's shift for a week.
 */
export class SeasonalMemory {
  private readonly arena: Arena;
  private readonly first: number;
  /** Where the anchor, the first value's time, and the number, sum and count of the bin that grows stand. */
  private readonly numbers: number;

  constructor(arena = new Arena(4 * BINS + 40)) {
    this.arena = arena;
    this.first = arena.takeFloats(BINS);
    this.numbers = arena.takeDoubles(5);
    arena.floats.fill(NaN, this.first, this.first + BINS);
    arena.doubles[this.numbers + 1] = NaN;
  }

  /** Days from the first value to `t`. */
  daysKnown(t: number): number {
    return Number.isNaN(this.startedAt) ? 0 : (t - this.startedAt) / DAY_MS;
  }

  /**
   * What `value` is to be measured against: the median of the same time of the last days or, where that is nearer,
   * the same time a week ago (weekends). Undefined until two earlier days are known.
   */
  expect(t: number, value: number): number | undefined {
    const days: number[] = [];
    for (let back = 1; back <= DAYS; back += 1) {
      const mean = this.meanAround(t - back * DAY_MS);
      if (!Number.isNaN(mean)) days.push(mean);
    }
    if (days.length < DAYS_NEEDED) return undefined;
    const weekAgo = this.meanAround(t - DAYS * DAY_MS);
    const usual = medianOf(days);
    const nearer = Math.abs(value - this.anchor - weekAgo) < Math.abs(value - this.anchor - usual);
    return this.anchor + (nearer ? weekAgo : usual);
  }

  push(t: number, value: number): void {
    const bin = Math.floor(t / BIN_MS);
    if (Number.isNaN(this.startedAt)) {
      this.startedAt = t;
      this.anchor = value;
      this.bin = bin;
    }
    if (bin > this.bin) this.beginBin(bin);
    this.sum += value - this.anchor;
    this.count += 1;
  }

  /** Means are kept less the anchor: Float32 then keeps seven digits of the changes, not of a large constant. */
  private get anchor(): number {
    return this.arena.doubles[this.numbers] as number;
  }

  private set anchor(value: number) {
    this.arena.doubles[this.numbers] = value;
  }

  /** NaN before the first value. */
  private get startedAt(): number {
    return this.arena.doubles[this.numbers + 1] as number;
  }

  private set startedAt(t: number) {
    this.arena.doubles[this.numbers + 1] = t;
  }

  private get bin(): number {
    return this.arena.doubles[this.numbers + 2] as number;
  }

  private set bin(number: number) {
    this.arena.doubles[this.numbers + 2] = number;
  }

  private get sum(): number {
    return this.arena.doubles[this.numbers + 3] as number;
  }

  private set sum(value: number) {
    this.arena.doubles[this.numbers + 3] = value;
  }

  private get count(): number {
    return this.arena.doubles[this.numbers + 4] as number;
  }

  private set count(value: number) {
    this.arena.doubles[this.numbers + 4] = value;
  }

  private beginBin(bin: number): void {
    this.arena.floats[this.first + (this.bin % BINS)] = this.sum / this.count;
    // What is in the ring for the bins of a gap is eight days old.
    const end = Math.min(bin, this.bin + BINS);
    for (let empty = this.bin + 1; empty < end; empty += 1)
      this.arena.floats[this.first + (empty % BINS)] = NaN;
    this.bin = bin;
    this.sum = 0;
    this.count = 0;
  }

  /** Between the two bins whose middles are next to `t`; NaN where neither has a value. */
  private meanAround(t: number): number {
    const position = t / BIN_MS - 0.5;
    const before = Math.floor(position);
    const low = this.meanOf(before);
    const high = this.meanOf(before + 1);
    if (Number.isNaN(low)) return high;
    return Number.isNaN(high) ? low : low + (high - low) * (position - before);
  }

  private meanOf(bin: number): number {
    return bin < 0 ? NaN : (this.arena.floats[this.first + (bin % BINS)] as number);
  }
}

function medianOf(values: number[]): number {
  values.sort((a, b) => a - b);
  const half = values.length >>> 1;
  const upper = values[half] as number;
  return values.length % 2 === 1 ? upper : ((values[half - 1] as number) + upper) / 2;
}
