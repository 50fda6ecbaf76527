import fc from "fast-check";
import { COLUMN_NAMES, type TextRow } from "../../exporter/csv.ts";

const value = fc.oneof(
  fc.constant(null),
  fc.string({ unit: "binary", maxLength: 30 }),
  fc.constantFrom(
    "",
    '"',
    '""',
    "'=1",
    "''+x",
    "'quote",
    "=1",
    "a\nb",
    "a\r\n,",
    "＝",
    "'＝",
    "\\.",
  ),
);
/** The row of this number, with these values where they may be any. */
export const textRow = (n: number, values: readonly (string | null)[]): TextRow => ({
  ...(Object.fromEntries(
    COLUMN_NAMES.map((name, index) => [name, values[index] ?? null]),
  ) as TextRow),
  id: String(n + 1),
  xid: String(1000 + n),
  ts: "2025-09-05T01:23:45.000001Z",
  detail: JSON.stringify({ note: values[0] ?? "" }),
});
/** Rows of any Unicode, and of what CSV and spreadsheets take for something. */
export const anyRows = fc
  .array(fc.array(value, { minLength: 13, maxLength: 13 }), { maxLength: 12 })
  .map((all) => all.map((values, n) => textRow(n, values)));
