export interface RingLimits {
  readonly items: number;
  readonly bytes: number;
}

/** The newest items, each with a number that goes up by one. Bounded by count and by bytes; the oldest go. */
export interface Ring<T> {
  push(item: T, bytes: number): void;
  /** Number of the oldest that is still there (or of the next one). */
  readonly oldest: number;
  /** Number that the next one gets. */
  readonly next: number;
  /** At most `count`, from that number on; undefined when some of them are gone. */
  from(number: number, count: number): readonly T[] | undefined;
}

/** Empty places at the front are given back when they are half of it. */
const COMPACT_AT = 1_024;

export function createRing<T>(limits: RingLimits): Ring<T> {
  let kept: { readonly item: T; readonly bytes: number }[] = [];
  let first = 0;
  let oldest = 0;
  let held = 0;
  const count = () => kept.length - first;
  const dropOldest = (): void => {
    held -= kept[first]?.bytes ?? 0;
    first += 1;
    oldest += 1;
    if (first < COMPACT_AT || first * 2 < kept.length) return;
    kept = kept.slice(first);
    first = 0;
  };
  return {
    push: (item, bytes) => {
      kept.push({ item, bytes });
      held += bytes;
      while (count() > limits.items || (held > limits.bytes && count() > 1)) dropOldest();
    },
    get oldest() {
      return oldest;
    },
    get next() {
      return oldest + count();
    },
    from: (number, most) => {
      if (number < oldest || number > oldest + count()) return undefined;
      const start = first + number - oldest;
      return kept.slice(start, start + most).map(({ item }) => item);
    },
  };
}
