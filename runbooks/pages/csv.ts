import type { AuditListed } from "./facts/find-audit.ts";

const COLUMNS = [
  "id",
  "at",
  "runId",
  "event",
  "actor",
  "namespace",
  "app",
  "target",
  "action",
  "detail",
  "correlationId",
  "traceId",
  "hash",
] as const satisfies (keyof AuditListed)[];

/** What a spreadsheet takes for the beginning of a formula (OWASP, with the full-width signs). */
const FORMULA = /^'*[=+@\t\r\n＝＋－＠-]/;

export const CSV_HEADER = `${COLUMNS.join(",")}\r\n`;

/** A row by RFC 4180. A text that a spreadsheet would calculate gets a `'` before it. */
export function csvLine(row: AuditListed): string {
  return `${COLUMNS.map((name) => cell(row[name])).join(",")}\r\n`;
}

function cell(value: AuditListed[(typeof COLUMNS)[number]]): string {
  if (value === null) return "";
  if (value instanceof Date) return value.toISOString();
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}
