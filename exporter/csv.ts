import type { FormulaRule, RowRange } from "./types.ts";

/** The audit table's columns in their order; `text` columns are the ones a spreadsheet could take for a formula. */
const COLUMNS = [
  { name: "id", as: "plain" },
  { name: "xid", as: "plain" },
  { name: "ts", as: "time" },
  { name: "run_id", as: "text" },
  { name: "event", as: "text" },
  { name: "actor", as: "text" },
  { name: "namespace", as: "text" },
  { name: "app", as: "text" },
  { name: "target", as: "text" },
  { name: "action", as: "text" },
  { name: "detail", as: "text" },
  { name: "correlation_id", as: "text" },
  { name: "trace_id", as: "text" },
] as const;

/** OWASP's CSV injection set with the full-width signs. An existing `'` before it counts too, which makes the rule reversible. */
const FORMULA_SIGNS = "=+@\t\r\n＝＋－＠-";
const FORMULA = new RegExp(`^'*[${FORMULA_SIGNS}]`);

/**
 * The COPY statement of a range. Ordered by the table's own columns: an unqualified `ORDER BY id` would mean the OUTPUT
 * column, sorted as text. COPY takes no parameters, so positions are checked to be digits and written in.
 *
 * Times have a blank in place of RFC 3339's T; see `PartSplitter`.
 *
 * NULL is an unquoted empty field, the empty text `""`; jsonb is written as stored, never through JavaScript.
 */
export function copyStatement(range: Omit<RowRange, "cutoff" | "last">, formula: FormulaRule) {
  const columns = COLUMNS.map(({ name, as }) => `${expressionOf(name, as, formula)} AS ${name}`);
  const after =
    range.after === undefined
      ? ""
      : `(a.xid, a.id) > (${digits(range.after.xid)}::xid8, ${digits(range.after.id)}) AND `;
  return (
    `COPY (SELECT ${columns.join(", ")} FROM runbooks_audit a ` +
    `WHERE ${after}a.xid < ${digits(range.horizonXid)}::xid8 ORDER BY a.xid, a.id) ` +
    "TO STDOUT (FORMAT csv, HEADER)"
  );
}

function expressionOf(name: string, as: "plain" | "time" | "text", formula: FormulaRule): string {
  if (as === "plain") return `a.${name}`;
  // With the session in UTC and ISO this is RFC 3339 with all microseconds, but for the blank in place of the T: replacing it
  // here takes the server a quarter of the whole COPY (measured), so `PartSplitter` does. `infinity` exists and stays a word.
  if (as === "time") {
    return `CASE WHEN isfinite(a.${name}) THEN a.${name}::timestamp::text || 'Z' ELSE a.${name}::text END`;
  }
  if (formula === "off") return `a.${name}`;
  const value = `a.${name}::text`;
  const mayBe = name === "detail" ? `jsonb_typeof(a.${name}) = 'number'` : beginsOddly(value);
  return `CASE WHEN ${mayBe} AND ${value} ~ E'^\\'*[=+@\\t\\r\\n＝＋－＠-]' THEN '''' || ${value} ELSE ${value} END`;
}

/** The expression alone doubles the time of the COPY (measured): most values are seen to be harmless by their first character. */
function beginsOddly(value: string): string {
  return `(ascii(${value}) IN (9, 10, 13, 39, 43, 45, 61, 64) OR ascii(${value}) > 127)`;
}

function digits(value: string): string {
  if (!/^\d{1,20}$/.test(value)) throw new Error(`not a position in the audit table: ${value}`);
  return `'${value}'`;
}

/** One audit row as text, by column name; null is SQL's NULL. Timestamps are RFC 3339, detail is JSON text. */
export type TextRow = Readonly<Record<(typeof COLUMNS)[number]["name"], string | null>>;

/** The header line's names, in their order. */
export const COLUMN_NAMES: readonly string[] = COLUMNS.map(({ name }) => name);

/** Whether the formula rule is applied to the column with this index. */
export function isFormulaColumn(index: number): boolean {
  return COLUMNS[index]?.as === "text";
}

/** Whether a shown value begins with an apostrophe that the formula rule has put there. */
export function isNeutralised(shown: string): boolean {
  return shown.startsWith("'") && FORMULA.test(shown.slice(1));
}

/** The same CSV as the COPY statement's, for rows that do not come from a database. */
export function csvOf(rows: readonly TextRow[], formula: FormulaRule): string {
  const header = COLUMNS.map(({ name }) => name).join(",");
  const lines = rows.map((row) =>
    COLUMNS.map(({ name, as }) => field(row[name], as === "text" && formula === "escape")).join(
      ",",
    ),
  );
  return [header, ...lines].map((line) => `${line}\n`).join("");
}

function field(value: string | null, escapeFormula: boolean): string {
  if (value === null) return "";
  const shown = escapeFormula && FORMULA.test(value) ? `'${value}` : value;
  const needsQuotes = shown === "" || shown === "\\." || /[",\r\n]/.test(shown);
  return needsQuotes ? `"${shown.replaceAll('"', '""')}"` : shown;
}
