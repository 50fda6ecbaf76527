import { linesOf } from "./json-lines.ts";
import type { FormulaRule } from "./types.ts";

const LINE_FEED = 0x0a;

/** Follows the rows of a CSV in the JSON lines that are to say the same. */
export class Twin {
  readonly #bytes: AsyncIterator<Uint8Array>;
  readonly #formula: FormulaRule;
  #left = Buffer.alloc(0);
  #rows = 0;
  #problem: string | undefined;

  constructor(bytes: AsyncIterable<Uint8Array>, formula: FormulaRule) {
    this.#bytes = bytes[Symbol.asyncIterator]();
    this.#formula = formula;
  }

  /** @param csv whole rows, without the header */
  async follow(csv: Buffer): Promise<void> {
    if (this.#problem !== undefined) return;
    const expected = linesOf(csv, this.#formula);
    const found = await this.#take(expected.length);
    if (found.equals(expected)) this.#rows += countLines(expected);
    else {
      const row = this.#rows + countLines(expected.subarray(0, commonLength(found, expected))) + 1;
      this.#problem = `row ${row} is another in its JSON lines`;
    }
  }

  /** To be called behind the last row. @returns what does not fit; undefined: both say the same */
  async end(): Promise<string | undefined> {
    if (this.#problem === undefined && (await this.#take(1)).length > 0)
      this.#problem = `its JSON lines go on behind row ${this.#rows}`;
    return this.#problem;
  }

  async close(): Promise<void> {
    await this.#bytes.return?.();
  }

  /** So many bytes, or those that are there. */
  async #take(length: number): Promise<Buffer> {
    const pieces: Uint8Array[] = [this.#left];
    let got = this.#left.length;
    while (got < length) {
      const next = await this.#bytes.next();
      if (next.done === true) break;
      pieces.push(next.value);
      got += next.value.length;
    }
    const all = Buffer.concat(pieces);
    this.#left = all.subarray(length);
    return all.subarray(0, length);
  }
}

function countLines(lines: Buffer): number {
  let count = 0;
  for (let at = lines.indexOf(LINE_FEED); at >= 0; at = lines.indexOf(LINE_FEED, at + 1)) count++;
  return count;
}

function commonLength(a: Buffer, b: Buffer): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at;
}
