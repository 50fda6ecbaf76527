import type { FormulaRule, RowBatch, RowRange } from "./types.ts";

/** The audit table's columns in their order; `text` columns are the ones a spreadsheet could take for a formula. */
const COLUMNS = [
  { name: "id", as: "plain" },
  { name: "xid", as: "plain" },
  { name: "ts", as: "plain" },
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
const hexOf = (text: string): string => Buffer.from(text).toString("hex");

/**
 * The COPY statement of a range. Ordered by the table's own columns: an unqualified `ORDER BY id` would mean the OUTPUT
 * column, sorted as text. COPY takes no parameters, so positions are checked to be digits and written in.
 *
 * Times are as PostgreSQL writes them in UTC; see `moveRow`.
 *
 * NULL is an unquoted empty field, the empty text `""`; jsonb is written as stored, never through JavaScript.
 *
 * @param encoding the database's, as PostgreSQL calls it
 */
export function copyStatement(
  range: Omit<RowRange, "cutoff" | "last">,
  formula: FormulaRule,
  encoding: string,
) {
  const columns = COLUMNS.map(({ name, as }) => {
    if (as === "plain" || formula === "off") return `a.${name} AS ${name}`;
    return `${encoding === "UTF8" ? escaped(name) : escapedInBytes(name)} AS ${name}`;
  });
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

function escaped(name: string): string {
  const value = `a.${name}::text`;
  const mayBe = name === "detail" ? `jsonb_typeof(a.${name}) = 'number'` : beginsOddly(value);
  return `CASE WHEN ${mayBe} AND ${value} ~ E'^\\'*[=+@\\t\\r\\n＝＋－＠-]' THEN '''' || ${value} ELSE ${value} END`;
}

/**
 * The same, in the bytes that the client will see: in other encodings `ascii()` refuses what is not ASCII, and the full-width
 * signs need not exist.
 */
function escapedInBytes(name: string): string {
  const value = `a.${name}::text`;
  const signs = Array.from(FORMULA_SIGNS, hexOf).join("|");
  const inBytes = `encode(convert_to(${value}, 'UTF8'), 'hex') ~ '^(${hexOf("'")})*(${signs})'`;
  return `CASE WHEN ${value} ~ '^[^0-9A-Za-z]' AND ${inBytes} THEN '''' || ${value} ELSE ${value} END`;
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

/** The same CSV as the COPY statement's, header and all, for rows that do not come from a database. */
export function csvOf(rows: readonly TextRow[], formula: FormulaRule): RowBatch {
  const lines = rows.map((row) =>
    COLUMNS.map(({ name, as }) => field(row[name], as === "text" && formula === "escape")),
  );
  const records = [COLUMN_NAMES, ...lines].map((line) => Buffer.from(`${line.join(",")}\n`));
  let end = 0;
  const ends = records.map(({ length }) => (end += length));
  const csv = Buffer.alloc(end); // memory of its own, not a piece of Node's pool
  for (const [n, record] of records.entries()) record.copy(csv, ends[n - 1] ?? 0);
  return { csv, ends };
}

function field(value: string | null, escapeFormula: boolean): string {
  if (value === null) return "";
  const shown = escapeFormula && FORMULA.test(value) ? `'${value}` : value;
  const needsQuotes = shown === "" || shown === "\\." || /[",\r\n]/.test(shown);
  return needsQuotes ? `"${shown.replaceAll('"', '""')}"` : shown;
}
