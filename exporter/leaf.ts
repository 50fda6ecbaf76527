import { isFormulaColumn, isNeutralised } from "./csv.ts";
import type { FormulaRule } from "./types.ts";

const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
/** A length in decimal, its colon and the comma behind the value. */
const FRAME_BYTES_MAX = 12;

/**
 * The canonical bytes of an audit row, from its CSV record: each column's raw value as a netstring `<bytes>:<value>,`, and
 * `-,` for NULL. Nothing of CSV's quoting or of the formula rule is in it, and no two rows have the same bytes; anybody can
 * compute it again from an exported file.
 *
 * Byte by byte on purpose: this sees every byte of the audit trail, and a string for each field would cost more than the hash.
 */
export class LeafEncoder {
  readonly #escaped: boolean;
  #leaf = Buffer.alloc(16 * 1024);
  #length = 0;

  constructor(formula: FormulaRule) {
    this.#escaped = formula === "escape";
  }

  /**
   * @param record one row with its line feed
   * @returns bytes that are valid until the next call
   */
  encode(record: Uint8Array): Buffer {
    const needed = FRAME_BYTES_MAX * (record.length + 1);
    if (this.#leaf.length < needed) this.#leaf = Buffer.alloc(2 * needed);
    this.#length = 0;
    const end = record.length - 1;
    for (let at = 0, column = 0; at <= end; column++) {
      at =
        record[at] === QUOTE
          ? this.#quoted(record, at + 1, column)
          : this.#bare(record, at, end, column);
    }
    return this.#leaf.subarray(0, this.#length);
  }

  /** @returns where the next field begins */
  #bare(record: Uint8Array, start: number, end: number, column: number): number {
    let stop = start;
    while (stop < end && record[stop] !== COMMA) stop++;
    if (stop === start) {
      this.#put(MINUS);
    } else {
      const from = start + this.#stripped(record, start, stop, column);
      this.#putLength(stop - from);
      for (let at = from; at < stop; at++) this.#put(record[at] ?? 0);
    }
    this.#put(COMMA);
    return stop + 1;
  }

  #quoted(record: Uint8Array, start: number, column: number): number {
    let doubled = 0;
    let stop = start;
    for (; stop < record.length; stop++) {
      if (record[stop] !== QUOTE) continue;
      if (record[stop + 1] !== QUOTE) break;
      doubled++;
      stop++;
    }
    const from = start + this.#stripped(record, start, stop, column);
    this.#putLength(stop - from - doubled);
    for (let at = from; at < stop; at++) {
      const byte = record[at] ?? 0;
      this.#put(byte);
      if (byte === QUOTE) at++; // the second of a pair
    }
    this.#put(COMMA);
    return stop + 2; // the closing quote and what follows it
  }

  /** 1 when the value begins with the apostrophe of the formula rule, which is not part of the row. */
  #stripped(record: Uint8Array, start: number, stop: number, column: number): number {
    if (record[start] !== APOSTROPHE || !this.#escaped || !isFormulaColumn(column)) return 0;
    return isNeutralised(Buffer.from(record.subarray(start, stop)).toString("utf8")) ? 1 : 0;
  }

  #putLength(length: number): void {
    if (length >= 10) {
      this.#length += this.#leaf.write(String(length), this.#length, "latin1");
    } else this.#put(ZERO + length);
    this.#put(COLON);
  }

  #put(byte: number): void {
    this.#leaf[this.#length++] = byte;
  }
}
