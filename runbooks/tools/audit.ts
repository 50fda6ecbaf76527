import { readConfig, type Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { readVerifiers } from "../../lib/signed-note.ts";
import { verifyAudit, type AuditReport } from "../audit/verify.ts";
import { listenVariables } from "../config/listen.ts";
import { CSV_HEADER, csvLine } from "../pages/csv.ts";
import { readOptions } from "./read-options.ts";
import { auditFilterSchema, readAudit, type AuditListed } from "../pages/facts/find-audit.ts";

/** A page of a large record takes milliseconds by its index; a busy database more. */
const STATEMENT_TIMEOUT_MS = 60_000;
const PAGE_ROWS = 2_000;

/** Which rows: as the page's filters. */
export interface AuditQuery {
  readonly from: Date | undefined;
  readonly to: Date | undefined;
  readonly run?: string | undefined;
  readonly event?: string | undefined;
  readonly actor?: string | undefined;
  readonly namespace?: string | undefined;
  readonly app?: string | undefined;
}

/** `fettle audit verify`. @param progress hears how many rows were recomputed so far */
export async function verifyRecord(
  env: Environment,
  {
    publicKeyFile,
    ...period
  }: {
    readonly from: Date | undefined;
    readonly to: Date | undefined;
    /** Every checkpoint must be signed with its key. */
    readonly publicKeyFile: string | undefined;
  },
  { log, progress }: { readonly log: Log; readonly progress: (rows: number) => void },
): Promise<AuditReport> {
  const verifiers = publicKeyFile === undefined ? undefined : await readVerifiers(publicKeyFile);
  let all = 0;
  const afterPage = (rows: number) => {
    all += rows;
    progress(all);
  };
  return withRecord(env, log, async (database) =>
    verifyAudit(database, { ...period, verifiers, afterPage }),
  );
}

/** `fettle audit ls`: the newest first. @throws RangeError that names the option */
export async function auditRows(
  env: Environment,
  { limit, ...query }: AuditQuery & { readonly limit: number },
  log: Log,
): Promise<readonly AuditListed[]> {
  const filter = filterOf(query);
  return withRecord(env, log, async (database) => readAudit(filter, limit, database));
}

/**
 * `fettle audit export`: the newest first, as CSV that a spreadsheet cannot take for formulas, or as a line of JSON for each row.
 *
 * @param write resolves when it can take more
 * @throws RangeError that names the option
 */
export async function exportRecord(
  env: Environment,
  { format, ...query }: AuditQuery & { readonly format: "csv" | "json" },
  { log, write }: { readonly log: Log; readonly write: (text: string) => Promise<void> },
): Promise<number> {
  const filter = filterOf(query);
  const lineOf = (row: AuditListed) =>
    format === "csv" ? csvLine(row) : `${JSON.stringify(row)}\n`;
  return withRecord(env, log, async (database) => {
    if (format === "csv") await write(CSV_HEADER);
    let [all, after]: [number, string | undefined] = [0, undefined];
    for (;;) {
      const rows: readonly AuditListed[] = await readAudit(
        { ...filter, after },
        PAGE_ROWS,
        database,
      );
      if (rows.length > 0) await write(rows.map(lineOf).join(""));
      all += rows.length;
      after = rows.at(-1)?.id;
      if (rows.length < PAGE_ROWS) return all;
    }
  });
}

function filterOf({ from, to, ...texts }: AuditQuery) {
  return { ...readOptions(auditFilterSchema, texts), from, to };
}

/** Of the configuration only the database's address is read: an auditor has no more. */
async function withRecord<T>(
  env: Environment,
  log: Log,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const { databaseUrl } = readConfig({ databaseUrl: listenVariables.databaseUrl }, env);
  const database = openDatabase(
    {
      url: databaseUrl.reveal(),
      applicationName: "fettle-cli",
      max: 1,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    },
    log,
  );
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
