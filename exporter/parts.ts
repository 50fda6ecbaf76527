import type { Position } from "./types.ts";

const LINE_FEED = 0x0a;
const COMMA = 0x2c;
/** 256 KiB: with 64 KiB the hashes and ciphers behind it are up to twice as slow (measured). */
const CHUNK_BYTES = 256 * 1024;

/** What a part holds, known once it has been read. */
export interface PartSummary {
  readonly rows: number;
  /** The last row's place; undefined in a part without rows. */
  readonly last: Position | undefined;
  /** No row is behind it. */
  readonly isLast: boolean;
}

export interface SplitOptions {
  /** A part is cut before the row that would make it larger; a row that is larger by itself is a part of its own. */
  readonly partBytes: number;
  /** Sees each row, without the header. */
  readonly rows: RowTaker;
}

/** Whoever looks into the rows also finds their ends: one pass over the bytes in place of two. */
export interface RowTaker {
  /** @returns where the row that begins at `start` ends, or 0 when not all of it is there */
  scan(csv: Buffer, start: number): number;
  /** The row scanned last belongs to the part. */
  take(): void;
}

/**
 * Cuts a stream of CSV into parts at row ends; each begins with the header, so that each is a whole CSV. The rows are read
 * once, in constant memory, whatever their number.
 */
export class PartSplitter {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #options: SplitOptions;
  #buffer: Buffer = Buffer.alloc(0);
  /** Where the present row begins. */
  #at = 0;
  #ended = false;
  #isLetGo = false;
  #header: Buffer | undefined;
  #summary: PartSummary | undefined;
  #last: Position | undefined;
  /** Of all parts so far. */
  rowsRead = 0;

  constructor(csv: AsyncIterable<Uint8Array>, options: SplitOptions) {
    this.#source = csv[Symbol.asyncIterator]();
    this.#options = options;
  }

  /** What the part read last holds. */
  get summary(): PartSummary {
    if (this.#summary === undefined) throw new Error("no part has been read to its end");
    return this.#summary;
  }

  /** Whether the memory of the piece given last is not needed here any more. */
  get isLetGo(): boolean {
    return this.#isLetGo;
  }

  /** The next part's bytes; to be read to the end before the next is begun. */
  async *part(): AsyncGenerator<Buffer, void, undefined> {
    this.#summary = undefined;
    const header = await this.#readHeader();
    this.#isLetGo = false;
    yield header;
    const part = { bytes: header.length, rows: 0, given: this.#at };
    for (;;) {
      const isFull = this.#takeRows(part);
      if (this.#at > part.given) yield this.#piece(part.given);
      part.given = this.#at;
      if (isFull) break;
      if (!(await this.#refill())) {
        if (this.#at < this.#buffer.length) throw new Error("the rows end in the middle of one");
        break;
      }
      part.given = this.#at;
    }
    this.#summary = {
      rows: part.rows,
      last: this.#last,
      isLast: this.#at >= this.#buffer.length && !(await this.#refill()),
    };
  }

  /** From `start` to the present row. */
  #piece(start: number): Buffer {
    const piece = this.#buffer.subarray(start, this.#at);
    this.#isLetGo = this.#at === this.#buffer.length;
    if (this.#isLetGo) {
      this.#buffer = Buffer.alloc(0);
      this.#at = 0;
    }
    return piece;
  }

  /** Moves over the whole rows in the buffer. True when the part is full. */
  #takeRows(part: { bytes: number; rows: number }): boolean {
    const { partBytes, rows } = this.#options;
    let lastRow = -1;
    let isFull = false;
    for (
      let end = rows.scan(this.#buffer, this.#at);
      end > 0;
      end = rows.scan(this.#buffer, this.#at)
    ) {
      const bytes = end - this.#at;
      isFull = part.rows > 0 && part.bytes + bytes > partBytes;
      if (isFull) break; // the row is looked at again, as the first of the next part
      lastRow = this.#at;
      rows.take();
      part.bytes += bytes;
      part.rows += 1;
      this.rowsRead += 1;
      this.#at = end;
    }
    if (lastRow >= 0) this.#last = positionOf(this.#buffer.subarray(lastRow, this.#at));
    return isFull;
  }

  async #readHeader(): Promise<Buffer> {
    if (this.#header !== undefined) return this.#header;
    let end = this.#buffer.indexOf(LINE_FEED) + 1;
    while (end === 0 && (await this.#refill())) end = this.#buffer.indexOf(LINE_FEED) + 1;
    if (end === 0) throw new Error("the rows have no header");
    this.#header = Buffer.from(this.#buffer.subarray(0, end));
    this.#at = end;
    return this.#header;
  }

  /** Reads on behind the row that has begun: at least as much again, so that a huge row costs linear time. */
  async #refill(): Promise<boolean> {
    if (this.#ended) return false;
    const rest = this.#buffer.subarray(this.#at);
    const pieces: Uint8Array[] = rest.length > 0 ? [rest] : [];
    const wanted = Math.max(CHUNK_BYTES, rest.length);
    let got = 0;
    while (got < wanted) {
      const next = await this.#source.next();
      if (next.done === true) {
        this.#ended = true;
        break;
      }
      pieces.push(next.value);
      got += next.value.length;
    }
    this.#at = 0;
    this.#buffer = joined(pieces);
    return got > 0;
  }
}

/** Without a copy where there is one piece, as from a source that cuts at row ends. */
function joined(pieces: readonly Uint8Array[]): Buffer {
  const [only, ...more] = pieces;
  return only === undefined || more.length > 0
    ? Buffer.concat(pieces)
    : Buffer.from(only.buffer, only.byteOffset, only.length);
}

/** Where a row stands: its first two columns are id and xid, never quoted. */
export function positionOf(record: Buffer): Position {
  const first = record.indexOf(COMMA);
  const second = record.indexOf(COMMA, first + 1);
  return {
    id: record.toString("latin1", 0, first),
    xid: record.toString("latin1", first + 1, second),
  };
}
