import { positionOf, type PartSummary } from "./parts.ts";
import type { RowBatch } from "./types.ts";

const NOTHING: RowBatch = { csv: Buffer.alloc(0), ends: [] };

/**
 * Cuts batches of CSV rows into parts that each begin with the header, so that each is a whole CSV. What `PartSplitter` does with
 * bytes, for rows whose ends are known: all but a few batches pass as they are.
 */
export class PartCutter {
  readonly #batches: AsyncIterator<RowBatch>;
  readonly #partBytes: number;
  #batch = NOTHING;
  /** Rows of the batch that are in a part already. */
  #given = 0;
  #header: Buffer | undefined;
  #summary: PartSummary | undefined;
  #last: PartSummary["last"];
  /** Of all parts so far. */
  rowsRead = 0;

  /** @param partBytes a part is cut before the row that would make it larger; a row that is larger by itself is a part of its own */
  constructor(batches: AsyncIterable<RowBatch>, partBytes: number) {
    this.#batches = batches[Symbol.asyncIterator]();
    this.#partBytes = partBytes;
  }

  /** What the part read last holds. */
  get summary(): PartSummary {
    if (this.#summary === undefined) throw new Error("no part has been read to its end");
    return this.#summary;
  }

  /** The next part's bytes; to be read to the end before the next is begun. */
  async *part(): AsyncGenerator<Buffer, void, undefined> {
    this.#summary = undefined;
    const header = await this.#readHeader();
    yield header;
    let bytes = header.length;
    let rows = 0;
    while (this.#isLeft() || (await this.#refill())) {
      const from = this.#given;
      const start = this.#endOf(from);
      const to = this.#fitting(rows > 0, this.#partBytes - bytes + start);
      if (to === from) break;
      const end = this.#endOf(to);
      rows += to - from;
      bytes += end - start;
      this.rowsRead += to - from;
      this.#given = to;
      this.#last = positionOf(this.#batch.csv.subarray(this.#endOf(to - 1), end));
      yield this.#batch.csv.subarray(start, end);
    }
    const isLast = !this.#isLeft() && !(await this.#refill());
    this.#summary = { rows, last: this.#last, isLast };
  }

  /** How many rows of the batch end at `limit` or before; of a part without rows at least one of those that are left. */
  #fitting(hasRows: boolean, limit: number): number {
    const { csv, ends } = this.#batch;
    if (csv.length <= limit) return ends.length;
    let to = hasRows ? this.#given : this.#given + 1;
    while (to < ends.length && this.#endOf(to + 1) <= limit) to++;
    return to;
  }

  /** Where this many rows of the batch end. */
  #endOf(rows: number): number {
    return rows === 0 ? 0 : (this.#batch.ends[rows - 1] ?? 0);
  }

  #isLeft(): boolean {
    return this.#given < this.#batch.ends.length;
  }

  async #refill(): Promise<boolean> {
    const next = await this.#batches.next();
    this.#given = 0;
    this.#batch = next.done === true ? NOTHING : next.value;
    return next.done !== true;
  }

  async #readHeader(): Promise<Buffer> {
    if (this.#header !== undefined) return this.#header;
    if (!(await this.#refill())) throw new Error("the rows have no header");
    this.#given = 1;
    this.#header = Buffer.from(this.#batch.csv.subarray(0, this.#endOf(1)));
    return this.#header;
  }
}
