import type { Position } from "./types.ts";

const LINE_FEED = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BLANK = 0x20;
const LETTER_T = 0x54;
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
  /** The times (the third column) come with a blank before the hour and get their T here, see `copyStatement`. */
  readonly marksTimes?: boolean | undefined;
  /** Sees each row, without the header. */
  readonly rows?: RowTaker | undefined;
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
  /** Where the present row begins, and how far its end has been looked for. */
  #at = 0;
  #scanned = 0;
  #quoted = false;
  #ended = false;
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

  /** The next part's bytes; to be read to the end before the next is begun. */
  async *part(): AsyncGenerator<Buffer, void, undefined> {
    this.#summary = undefined;
    const header = await this.#readHeader();
    yield header;
    const part = { bytes: header.length, rows: 0, given: this.#at };
    for (;;) {
      const isFull = this.#takeRows(part);
      if (this.#at > part.given) yield this.#buffer.subarray(part.given, this.#at);
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

  /** Moves over the whole rows in the buffer. True when the part is full. */
  #takeRows(part: { bytes: number; rows: number }): boolean {
    const { partBytes, rows } = this.#options;
    let lastRow = -1;
    let isFull = false;
    for (let end = this.#nextEnd(); end > 0; end = this.#nextEnd()) {
      const bytes = end - this.#at;
      isFull = part.rows > 0 && part.bytes + bytes > partBytes;
      if (isFull) {
        this.#scanned = this.#at; // the row is looked at again, as the first of the next part
        break;
      }
      lastRow = this.#at;
      rows?.take();
      part.bytes += bytes;
      part.rows += 1;
      this.rowsRead += 1;
      this.#at = end;
    }
    if (lastRow >= 0) this.#last = positionOf(this.#buffer.subarray(lastRow, this.#at));
    return isFull;
  }

  #nextEnd(): number {
    const { rows, marksTimes } = this.#options;
    if (marksTimes === true) markTime(this.#buffer, this.#at);
    return rows === undefined ? this.#rowEnd() : rows.scan(this.#buffer, this.#at);
  }

  async #readHeader(): Promise<Buffer> {
    if (this.#header !== undefined) return this.#header;
    let end = this.#rowEnd();
    while (end === 0 && (await this.#refill())) end = this.#rowEnd();
    if (end === 0) throw new Error("the rows have no header");
    this.#header = Buffer.from(this.#buffer.subarray(0, end));
    this.#at = end;
    return this.#header;
  }

  /** The end of the present row, or 0 when it is not in the buffer. */
  #rowEnd(): number {
    const buffer = this.#buffer;
    let quoted = this.#quoted;
    for (let at = this.#scanned; at < buffer.length; at++) {
      const byte = buffer[at];
      if (byte === QUOTE) quoted = !quoted;
      else if (byte === LINE_FEED && !quoted) {
        this.#scanned = at + 1;
        this.#quoted = false;
        return at + 1;
      }
    }
    this.#scanned = buffer.length;
    this.#quoted = quoted;
    return 0;
  }

  /** Reads on behind the row that has begun: at least as much again, so that a huge row costs linear time. */
  async #refill(): Promise<boolean> {
    if (this.#ended) return false;
    const pieces: Uint8Array[] = [this.#buffer.subarray(this.#at)];
    const wanted = Math.max(CHUNK_BYTES, pieces[0]?.length ?? 0);
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
    this.#scanned -= this.#at;
    this.#at = 0;
    this.#buffer = Buffer.concat(pieces);
    return got > 0;
  }
}

/** Does nothing to a time that has its T, or that is not all there yet: the row is looked at again when more of it is. */
function markTime(csv: Buffer, start: number): void {
  const first = nextComma(csv, start);
  const second = nextComma(csv, first + 1);
  const end = nextComma(csv, second + 1);
  for (let at = second + 1; at < end; at++) {
    if (csv[at] !== BLANK) continue;
    csv[at] = LETTER_T;
    return;
  }
}

/** A call of `indexOf` costs more than looking at these few bytes. */
function nextComma(csv: Buffer, start: number): number {
  let at = start;
  while (at < csv.length && csv[at] !== COMMA) at++;
  return at;
}

/** The first two columns are id and xid, never quoted. */
function positionOf(record: Buffer): Position {
  const first = record.indexOf(COMMA);
  const second = record.indexOf(COMMA, first + 1);
  return {
    id: record.toString("latin1", 0, first),
    xid: record.toString("latin1", first + 1, second),
  };
}
