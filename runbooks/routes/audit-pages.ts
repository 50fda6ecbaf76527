import { once } from "node:events";
import type { Response } from "express";
import type { Database } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { auditPage } from "../pages/audit.ts";
import { CSV_HEADER, csvLine } from "../pages/csv.ts";
import {
  auditFilterSchema,
  chainFacts,
  exportFilterSchema,
  findAudit,
  readAudit,
  type AuditFilter,
  type AuditListed,
} from "../pages/facts/find-audit.ts";
import { readFields } from "../pages/read-query.ts";
import type { Pages } from "../pages/types.ts";
import { answer } from "./answer.ts";
import type { GuardedRoutes } from "./guarded.ts";

const EXPORT_ROWS_MAX = 10_000;
const PORTION = 1_000;
/** Each takes a connection now and then; others look as well. */
const EXPORTS_MAX = 2;

export function addAuditRoutes(guarded: GuardedRoutes, { database }: Pages): void {
  guarded.get("/audit", async (request, response) => {
    const filter = readFields(auditFilterSchema, request.query);
    const [found, chain] = [await findAudit(filter, database), await chainFacts(database)];
    answer(request, response, {
      page: () => auditPage({ ...found, chain }, filter),
      json: () => ({ rows: found.rows, next: found.next ?? null, chain: chain ?? null }),
    });
  });

  let running = 0;
  guarded.get("/audit/export", async (request, response) => {
    const { format, ...filter } = readFields(exportFilterSchema, request.query);
    if (running >= EXPORTS_MAX)
      throw new HttpProblem(429, "Busy", "Others export now; try again.", { "Retry-After": "5" });
    running += 1;
    try {
      await sendExport(response, format, filter, database);
    } finally {
      running -= 1;
    }
  });
}

/** Row by row as they are read: memory does not grow with the export. */
async function sendExport(
  response: Response,
  format: "csv" | "json",
  filter: AuditFilter,
  database: Database,
): Promise<void> {
  const portions = rowsOf(filter, database);
  const first = await portions.next(); // a fault of the first portion is still a proper answer
  response
    .set("Cache-Control", "no-store")
    .set("Content-Disposition", `attachment; filename="audit.${format}"`)
    .type(format);
  let before = format === "csv" ? CSV_HEADER : '{"rows":[';
  let last: string | null = null;
  for (let portion = first; portion.done !== true; portion = await portions.next()) {
    const rows = portion.value;
    const text =
      format === "csv"
        ? rows.map(csvLine).join("")
        : rows.map((row) => JSON.stringify(row)).join(",\n");
    if (!response.write(before + text)) await drained(response);
    if (response.destroyed) return;
    before = format === "csv" ? "" : ",\n";
    last = rows.at(-1)?.id ?? last;
  }
  const untouched = before === CSV_HEADER || before === '{"rows":[' ? before : "";
  response.end(format === "csv" ? untouched : `${untouched}],"last":${JSON.stringify(last)}}\n`);
}

async function drained(response: Response): Promise<void> {
  await Promise.race([once(response, "drain"), once(response, "close")]);
}

async function* rowsOf(
  filter: AuditFilter,
  database: Database,
): AsyncGenerator<readonly AuditListed[]> {
  let after = filter.after;
  for (let left = EXPORT_ROWS_MAX; left > 0; left -= PORTION) {
    const rows = await readAudit({ ...filter, after }, PORTION, database);
    if (rows.length > 0) yield rows;
    if (rows.length < PORTION) return;
    after = rows.at(-1)?.id;
  }
}
