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
/** Who takes nothing for so long has fallen asleep, and keeps others from their export. */
const SILENCE_MS = 30_000;

export function addAuditRoutes(guarded: GuardedRoutes, { database, clock }: Pages): void {
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
      await sendExport(response, { format, filter }, { database, clock });
    } finally {
      running -= 1;
    }
  });
}

/** Row by row as they are read: memory does not grow with the export. */
async function sendExport(
  response: Response,
  { format, filter }: { readonly format: "csv" | "json"; readonly filter: AuditFilter },
  { database, clock }: Pick<Pages, "database" | "clock">,
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
    if (response.destroyed) return; // who has left is never heard to leave again
    if (!response.write(before + text)) await drained(response, clock);
    before = format === "csv" ? "" : ",\n";
    last = rows.at(-1)?.id ?? last;
  }
  const untouched = before === CSV_HEADER || before === '{"rows":[' ? before : "";
  response.end(format === "csv" ? untouched : `${untouched}],"last":${JSON.stringify(last)}}\n`);
}

/** Until it takes more, or whoever reads it has left. Who takes nothing for too long is cut off. */
async function drained(response: Response, clock: Pages["clock"]): Promise<void> {
  const either = new AbortController();
  const { signal } = either;
  const waiting = [
    ...["drain", "close"].map(async (name) => once(response, name, { signal })),
    clock.sleep(SILENCE_MS, signal).then(() => "asleep" as const),
  ];
  try {
    if ((await Promise.race(waiting)) === "asleep") response.destroy();
  } finally {
    either.abort(); // leaves no listener behind
    await Promise.allSettled(waiting);
  }
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
