/** Where an alert stands that is not in memory, and when it fired. */
interface IndexedAlert {
  readonly at: number;
  readonly resolvedAt: number;
  /** The adapter's own: a place in a file, the number of a series. */
  readonly reference: number;
  readonly part: number;
}

/** 32 bytes each: two gigabytes. */
const ROWS_MAX = 64 * 1024 * 1024;
const FIRST_ROWS = 16_384;

/**
 * Times of alerts in any order in, in the order in which they began out. Outside of the heap and without the alerts
 * themselves: a million objects of labels would take gigabytes.
 */
export class AlertIndex {
  #rows = 0;
  #at = new Float64Array(FIRST_ROWS);
  #resolvedAt = new Float64Array(FIRST_ROWS);
  #reference = new Float64Array(FIRST_ROWS);
  #part = new Uint32Array(FIRST_ROWS);
  #sorted = true;

  /** The row's number, for {@link resolve}. */
  add({ at, resolvedAt, reference, part }: IndexedAlert): number {
    const row = this.#rows;
    if (row === ROWS_MAX)
      throw new Error(`there are more than ${ROWS_MAX} alerts: take a shorter period`);
    if (row === this.#at.length) this.#grow();
    if (row > 0 && at < (this.#at[row - 1] ?? 0)) this.#sorted = false;
    this.#at[row] = at;
    this.#resolvedAt[row] = resolvedAt;
    this.#reference[row] = reference;
    this.#part[row] = part;
    this.#rows += 1;
    return row;
  }

  resolve(row: number, resolvedAt: number): void {
    this.#resolvedAt[row] = resolvedAt;
  }

  *read(): Generator<IndexedAlert> {
    const order = Uint32Array.from({ length: this.#rows }, (_, row) => row);
    // By time; equal ones as they came in, because the sort is stable.
    if (!this.#sorted) order.sort((one, other) => (this.#at[one] ?? 0) - (this.#at[other] ?? 0));
    for (const row of order) {
      yield {
        at: this.#at[row] ?? 0,
        resolvedAt: this.#resolvedAt[row] ?? Infinity,
        reference: this.#reference[row] ?? 0,
        part: this.#part[row] ?? 0,
      };
    }
  }

  #grow(): void {
    const size = this.#at.length * 2;
    this.#at = larger(this.#at, new Float64Array(size));
    this.#resolvedAt = larger(this.#resolvedAt, new Float64Array(size));
    this.#reference = larger(this.#reference, new Float64Array(size));
    this.#part = larger(this.#part, new Uint32Array(size));
  }
}

function larger<T extends Float64Array | Uint32Array>(old: T, fresh: T): T {
  fresh.set(old);
  return fresh;
}
