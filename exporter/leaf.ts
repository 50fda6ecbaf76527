import { LEAF_MARK } from "../lib/merkle.ts";
import { isFormulaColumn, isNeutralised } from "./csv.ts";
import type { RowTaker } from "./parts.ts";
import type { FormulaRule } from "./types.ts";

const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const LINE_FEED = 0x0a;
/** Room for a length of two digits and its colon, which most are. */
const GAP = 3;
/** No leaf is larger than so many times its record, and a few bytes more. */
const GROWTH_MAX = 3;
/** Longer leaves are seldom. */
const VIEW_BYTES_MAX = 4096;

/**
 * The canonical bytes of audit rows, from their CSV records: each column's raw value as a netstring `<bytes>:<value>,`, and
 * `-,` for NULL. Nothing of CSV's quoting or of the formula rule is in it, and no two rows have the same bytes; anybody can
 * compute it again from an exported file.
 *
 * Byte by byte, in one pass that also finds the record's end: this sees every byte of the audit trail, and a string or a view
 * for each field would cost more than the hash.
 */
export class LeafEncoder implements RowTaker {
  readonly #escaped: boolean;
  readonly #onLeaf: (marked: Buffer) => void;
  #leaf = Buffer.alloc(VIEW_BYTES_MAX);
  /** Of `#leaf`, by length: a new view for each leaf would cost a third of its hash (measured). */
  #views: Buffer[] = [];
  #length = 0;
  #copied = 0;

  /** @param onLeaf gets each row's leaf behind the mark of a Merkle tree's leaf; valid until it returns */
  constructor(formula: FormulaRule, onLeaf: (marked: Buffer) => void) {
    this.#escaped = formula === "escape";
    this.#onLeaf = onLeaf;
  }

  take(): void {
    const length = this.#length;
    const isCommon = length < VIEW_BYTES_MAX;
    this.#onLeaf(
      isCommon
        ? (this.#views[length] ??= this.#leaf.subarray(0, length))
        : this.#leaf.subarray(0, length),
    );
  }

  scan(csv: Buffer, start: number): number {
    this.#makeRoom(csv.length - start);
    const leaf = this.#leaf;
    const limit = csv.length;
    let out = 1;
    for (let at = start, column = 0; at < limit; column++) {
      const begin = out + GAP;
      let to = begin;
      let byte = csv[at] ?? 0;
      if (byte === QUOTE) {
        at = this.#copyQuoted(csv, at + 1, begin);
        if (at >= limit) return 0;
        byte = csv[at] ?? 0;
        out = this.#frame(begin, this.#copied, column);
      } else {
        while (byte !== COMMA && byte !== LINE_FEED) {
          leaf[to++] = byte;
          if (++at >= limit) return 0;
          byte = csv[at] ?? 0;
        }
        if (to > begin) out = this.#frame(begin, to, column);
        else {
          leaf[out++] = MINUS;
          leaf[out++] = COMMA;
        }
      }
      at++;
      if (byte === LINE_FEED) {
        this.#length = out;
        return at;
      }
    }
    return 0;
  }

  /** @returns where the separator behind the closing quote is; `#copied` is where the value ends in the leaf */
  #copyQuoted(csv: Buffer, start: number, begin: number): number {
    const leaf = this.#leaf;
    let to = begin;
    let at = start;
    for (; at < csv.length; at++) {
      const byte = csv[at] ?? 0;
      // A quote that is doubled is one of the value's own, any other ends it.
      if (byte === QUOTE && csv[++at] !== QUOTE) break;
      leaf[to++] = byte;
    }
    this.#copied = to;
    return at;
  }

  #makeRoom(bytes: number): void {
    const needed = GROWTH_MAX * bytes + VIEW_BYTES_MAX;
    if (this.#leaf.length >= needed) return;
    this.#leaf = Buffer.alloc(2 * needed);
    this.#leaf[0] = LEAF_MARK;
    this.#views = [];
  }

  /** Puts the length into the gap before a value, and a comma behind it. @returns where the next field begins */
  #frame(begin: number, end: number, column: number): number {
    const leaf = this.#leaf;
    const start = leaf[begin] === APOSTROPHE ? this.#stripped(begin, end, column) : begin;
    const length = end - start;
    const out = begin - GAP;
    if (length > 9 && length < 100 && start === begin) {
      leaf[out] = ZERO + Math.trunc(length / 10);
      leaf[out + 1] = ZERO + (length % 10);
      leaf[out + 2] = COLON;
      leaf[end] = COMMA;
      return end + 1;
    }
    const digits = String(length);
    const at = out + digits.length + 1;
    if (length < 10) for (let n = 0; n < length; n++) leaf[at + n] = leaf[start + n] ?? 0;
    else leaf.copyWithin(at, start, end);
    for (let n = 0; n < digits.length; n++) leaf[out + n] = digits.charCodeAt(n);
    leaf[at - 1] = COLON;
    leaf[at + length] = COMMA;
    return at + length + 1;
  }

  /** Where the value begins without the apostrophe of the formula rule, which is not part of the row. */
  #stripped(begin: number, end: number, column: number): number {
    const isShown = this.#escaped && isFormulaColumn(column);
    return isShown && isNeutralised(this.#leaf.toString("utf8", begin, end)) ? begin + 1 : begin;
  }
}
