import { COLUMN_NAMES, isFormulaColumn, isNeutralised } from "./csv.ts";
import type { FormulaRule } from "./types.ts";

/**
 * The same rows as JSON lines; see {@link linesOf}.
 *
 * @param csv pieces that end at row ends, the header first
 */
export async function* jsonLines(
  csv: AsyncIterable<Buffer>,
  formula: FormulaRule,
): AsyncGenerator<Buffer, void, undefined> {
  let isHeader = true;
  for await (const piece of csv) {
    if (isHeader) isHeader = false;
    else yield linesOf(piece, formula);
  }
}

/**
 * An object for each row with all columns, values raw (without the formula rule's apostrophe). `detail` stands as the JSON it is,
 * byte for byte; everything else is a text or null, also ids, which are 64-bit.
 *
 * @param csv whole rows, without the header
 */
export function linesOf(csv: Buffer, formula: FormulaRule): Buffer {
  let lines = "";
  for (const row of recordsOf(csv.toString("utf8"))) lines += lineOf(row, formula);
  return Buffer.from(lines);
}

/** What stands before each value. */
const KEYS = COLUMN_NAMES.map((name, index) => `${index === 0 ? "{" : ","}"${name}":`);
const DETAIL = COLUMN_NAMES.indexOf("detail");

function lineOf(values: readonly (string | null)[], formula: FormulaRule): string {
  let line = "";
  for (const [index, value] of values.entries()) {
    const raw = rawValue(value, index, formula);
    line += (KEYS[index] ?? "") + (index === DETAIL && raw !== null ? raw : JSON.stringify(raw));
  }
  return `${line}}\n`;
}

const APOSTROPHE = "'";

function rawValue(value: string | null, index: number, formula: FormulaRule): string | null {
  if (value?.[0] !== APOSTROPHE || formula === "off" || !isFormulaColumn(index)) return value;
  return isNeutralised(value) ? value.slice(1) : value;
}

/** The records of a text that ends at a row end. An unquoted empty field is NULL. */
function* recordsOf(text: string): Generator<readonly (string | null)[]> {
  let record: (string | null)[] = [];
  for (let at = 0; at < text.length;) {
    const { value, end } = text[at] === '"' ? quoted(text, at + 1) : bare(text, at);
    record.push(value);
    at = end + 1;
    if (text[end] !== "\n") continue;
    yield record;
    record = [];
  }
}

function quoted(text: string, start: number): { value: string; end: number } {
  let stop = text.indexOf('"', start);
  while (text[stop + 1] === '"') stop = text.indexOf('"', stop + 2);
  return { value: text.slice(start, stop).replaceAll('""', '"'), end: stop + 1 };
}

const FIELD_END = /[,\n]/g;

function bare(text: string, start: number): { value: string | null; end: number } {
  FIELD_END.lastIndex = start;
  const end = FIELD_END.exec(text)?.index ?? text.length;
  return { value: end === start ? null : text.slice(start, end), end };
}
