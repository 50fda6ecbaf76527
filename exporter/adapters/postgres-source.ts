import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { PoolClient } from "pg";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { copyStatement } from "../csv.ts";
import type {
  AuditSource,
  CsvRows,
  ExportPlan,
  ExportSession,
  PlanChoices,
  RowRange,
} from "../types.ts";
import { CopyRows } from "./copy-rows.ts";
import { readChainHead, readPlan } from "./plan-row.ts";
import { insertBuild, insertManifest, insertReceipt, upsertPart } from "./progress-row.ts";
import { newPlan } from "../new-plan.ts";
import { newRange, sourceStatus, systemIdentifier } from "./postgres-range.ts";

/** "Fett" and the exporter's number: any exporter of this database, in any process, takes this lock. */
const LOCK = [0x46657474, 3] as const;
/** The export's own connection may be idle while files are uploaded, and busy while two million rows are copied. */
const EXPORT_TIMEOUT_MS = 60 * 60 * 1000;

/**
 * The audit table of a Postgres database, with the progress of exports beside it.
 *
 * Two connections are used: one holds the lock and runs the COPY, the other commits the plan and its progress; an archive, which
 * says its rows twice, takes a third for a second COPY. The first needs no REPEATABLE READ: a COPY is one statement with one snapshot, and the committed horizon fixes its rows anyway; so
 * nothing holds back vacuum while files are uploaded.
 */
export function postgresSource(database: Database, deps: { clock: Clock; log: Log }): AuditSource {
  return {
    status: async () => sourceStatus(database),
    exclusively: async (work) =>
      database.withConnection(async (client) => {
        await begin(client);
        const { rows } = await client.query<{ locked: boolean; encoding: string }>(
          "SELECT pg_try_advisory_xact_lock($1, $2) AS locked, getdatabaseencoding() AS encoding",
          [...LOCK],
        );
        const [{ locked, encoding } = { locked: false, encoding: "" }] = rows;
        try {
          return locked ? await work(session(database, client, { ...deps, encoding })) : "busy";
        } finally {
          await endTransaction(client);
        }
      }),
  };
}

async function begin(client: PoolClient): Promise<void> {
  await client.query("BEGIN READ ONLY");
  for (const setting of SESSION) await client.query(`SET LOCAL ${setting}`);
}

/**
 * Gives the lock back: who tries again at once is not to find the lock of the run that failed. A connection that is in the middle of a COPY, or
 * lost, cannot be asked; it is dropped, and the server gives the lock back when it sees that.
 */
async function endTransaction(client: PoolClient): Promise<void> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const tooLong = sleep(UNLOCK_MS, undefined, { signal }).catch(() => undefined);
  await Promise.race([client.query("ROLLBACK").catch(() => undefined), tooLong]);
  waiting.abort();
}

const UNLOCK_MS = 1_000;

/** Makes the text of every value independent of the server's and the role's settings. */
const SESSION = [
  "timezone = 'UTC'",
  "datestyle = 'ISO'",
  "intervalstyle = 'iso_8601'",
  "extra_float_digits = 1",
  "client_encoding = 'UTF8'",
  "jit = off",
  `statement_timeout = ${EXPORT_TIMEOUT_MS}`,
  `idle_in_transaction_session_timeout = ${EXPORT_TIMEOUT_MS}`,
];

function session(
  database: Database,
  client: PoolClient,
  deps: { clock: Clock; log: Log; encoding: string },
): ExportSession {
  const setState = async (plan: ExportPlan, assignments: string, ...values: unknown[]) => {
    await client.query("SELECT 1"); // the lock lives with this connection: without it the run must not go on
    await database.query(
      `UPDATE audit_exports SET ${assignments} WHERE export_id = $1 AND state <> 'done'`,
      [plan.exportId, ...values],
    );
  };
  return {
    unfinished: async () => readPlan(database, await systemIdentifier(database)),
    newRange: async ({ evenIfEmpty }) => newRange(database, evenIfEmpty, deps),
    isNameUsed: async (name) => {
      const sql = "SELECT 1 FROM audit_exports WHERE file_name = $1";
      return (await database.query(sql, [name])).rowCount > 0;
    },
    commitPlan: async (range, choices) => commitPlan(database, range, choices),
    read: readerOf(client, deps.encoding),
    beside: async (work) =>
      database.withConnection(async (second) => {
        await begin(second);
        try {
          return await work({ read: readerOf(second, deps.encoding) });
        } finally {
          await endTransaction(second);
        }
      }),
    recordPart: async (plan, part) => upsertPart(database, plan, part),
    recordBuild: async (plan, file) => {
      await insertBuild(database, plan, file);
      await database.query(
        "UPDATE audit_exports SET state = 'built' WHERE export_id = $1 AND state = 'planned'",
        [plan.exportId],
      );
    },
    recordReceipt: async (plan, receipt) => insertReceipt(database, plan, receipt),
    recordUploaded: async (plan) => setState(plan, "state = 'uploaded'"),
    chainHead: async () => readChainHead(database),
    cluster: async () => (await systemIdentifier(database)) ?? undefined,
    recordManifest: async (plan, manifest) => insertManifest(database, plan, manifest),
    finish: async (plan, rows) =>
      setState(plan, "state = 'done', done_at = now(), rows = $2", rows),
  };
}

function readerOf(client: PoolClient, encoding: string): ExportSession["read"] {
  return (plan, behind) => {
    const rest = { ...plan.range, after: behind ?? plan.range.after };
    return copyRows(client, copyStatement(rest, plan.formula, encoding));
  };
}

async function commitPlan(
  database: Database,
  range: RowRange,
  choices: PlanChoices,
): Promise<ExportPlan> {
  const { name, formula, partBytes } = choices;
  const exportId = randomUUID();
  await database.query(
    `INSERT INTO audit_exports (export_id, file_name, stored_name, formula, system_identifier,
       after_xid, after_id, horizon_xid, last_xid, last_id, cutoff, part_bytes)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      exportId,
      name.clear,
      name.stored,
      formula,
      await systemIdentifier(database),
      range.after?.xid,
      range.after?.id,
      range.horizonXid,
      range.last.xid,
      range.last.id,
      range.cutoff,
      partBytes,
    ],
  );
  return newPlan(exportId, range, choices);
}

function copyRows(client: PoolClient, statement: string): CsvRows {
  const copy = new CopyRows(statement, EXPORT_TIMEOUT_MS);
  // A lost connection is told to the COPY, which knows better whether it was lost or cut.
  const ignore = () => undefined;
  client.on("error", ignore);
  copy.once("end", () => client.off("error", ignore));
  client.query(copy);
  return {
    batches: copy,
    countRows: async () => {
      // The count arrives after the last row; the next statement's answer comes after both.
      await client.query("SELECT 1");
      return copy.rowCount;
    },
  };
}
