import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import type { PoolClient } from "pg";
import { to as copyTo } from "pg-copy-streams";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { copyStatement } from "../csv.ts";
import type {
  AuditSource,
  BuiltFile,
  CsvRows,
  ExportName,
  ExportPlan,
  ExportSession,
  FormulaRule,
  Receipt,
  RowRange,
} from "../types.ts";
import { readPlan } from "./plan-row.ts";
import { newRange, sourceStatus, systemIdentifier } from "./postgres-range.ts";

/** "Fett" and the exporter's number: any exporter of this database, in any process, takes this lock. */
const LOCK = [0x46657474, 3] as const;
/** The export's own connection may be idle while files are uploaded, and busy while two million rows are copied. */
const EXPORT_TIMEOUT_MS = 60 * 60 * 1000;

/**
 * The audit table of a Postgres database, with the progress of exports beside it.
 *
 * Two connections are used: one holds the lock and runs the COPY, the other commits the plan and its progress. The first
 * needs no REPEATABLE READ: a COPY is one statement with one snapshot, and the committed horizon fixes its rows anyway; so
 * nothing holds back vacuum while files are uploaded.
 */
export function postgresSource(database: Database, deps: { clock: Clock; log: Log }): AuditSource {
  return {
    status: async () => sourceStatus(database),
    exclusively: async (work) =>
      database.withConnection(async (client) => {
        await client.query("BEGIN READ ONLY");
        for (const setting of SESSION) await client.query(`SET LOCAL ${setting}`);
        const { rows } = await client.query<{ locked: boolean }>(
          "SELECT pg_try_advisory_xact_lock($1, $2) AS locked",
          [...LOCK],
        );
        const result =
          rows[0]?.locked === true ? await work(session(database, client, deps)) : "busy";
        await client.query("ROLLBACK"); // gives the lock back; after an error the connection is dropped instead
        return result;
      }),
  };
}

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
  deps: { clock: Clock; log: Log },
): ExportSession {
  const setState = async (plan: ExportPlan, assignments: string) => {
    await client.query("SELECT 1"); // the lock lives with this connection: without it the run must not go on
    await database.query(
      `UPDATE audit_exports SET ${assignments} WHERE export_id = $1 AND state <> 'done'`,
      [plan.exportId],
    );
  };
  return {
    unfinished: async () => readPlan(database, await systemIdentifier(database)),
    newRange: async () => newRange(database, deps),
    isNameUsed: async (name) => {
      const sql = "SELECT 1 FROM audit_exports WHERE file_name = $1";
      return (await database.query(sql, [name])).rowCount > 0;
    },
    commitPlan: async (range, name, formula) => commitPlan(database, range, name, formula),
    read: (plan) => copyRows(client, plan),
    recordBuild: async (plan, file) => {
      await database.inTransaction(async (tx) => {
        await tx.query(INSERT_BUILD, buildValues(plan, file));
        await tx.query(
          "UPDATE audit_exports SET state = 'built', rows = $2 WHERE export_id = $1 AND state = 'planned'",
          [plan.exportId, file.rows],
        );
      });
    },
    recordReceipt: async (plan, receipt) => {
      await database.query(INSERT_RECEIPT, receiptValues(plan, receipt));
    },
    recordUploaded: async (plan) => setState(plan, "state = 'uploaded'"),
    finish: async (plan) => setState(plan, "state = 'done', done_at = now()"),
  };
}

async function commitPlan(
  database: Database,
  range: RowRange,
  name: ExportName,
  formula: FormulaRule,
): Promise<ExportPlan> {
  const exportId = randomUUID();
  await database.query(
    `INSERT INTO audit_exports (export_id, file_name, stored_name, formula, system_identifier,
       after_xid, after_id, horizon_xid, last_xid, last_id, cutoff)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
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
    ],
  );
  return { exportId, state: "planned", range, name, formula, builds: [], receipts: [] };
}

const INSERT_BUILD = `INSERT INTO audit_export_builds
  (export_id, file_name, sha256, bytes, plaintext_sha256, plaintext_bytes, rows)
  VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`;

function buildValues({ exportId }: ExportPlan, file: BuiltFile): unknown[] {
  const { name, sha256, bytes, plaintextSha256, plaintextBytes, rows } = file;
  return [exportId, name, sha256, bytes, plaintextSha256, plaintextBytes, rows];
}

const INSERT_RECEIPT = `INSERT INTO audit_export_receipts
  (export_id, destination, file_name, location, sha256, bytes, verified_by, adopted)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`;

function receiptValues({ exportId }: ExportPlan, receipt: Receipt): unknown[] {
  const { destination, name, location, sha256, bytes, verifiedBy, adopted } = receipt;
  return [exportId, destination, name, location, sha256, bytes, verifiedBy, adopted];
}

function copyRows(client: PoolClient, { range, formula }: ExportPlan): CsvRows {
  const copy = Object.assign(copyTo(copyStatement(range, formula)), {
    // pg arms its read timeout for a COPY too, but only a `callback` disarms it: without these two lines every COPY would
    // fail seconds after its end, with an "error" event that nobody hears, which ends the process.
    query_timeout: EXPORT_TIMEOUT_MS,
    callback: undefined as (() => void) | undefined,
  });
  client.query(copy);
  copy.once("close", () => {
    copy.callback?.();
    if (!copy.readableEnded) cutConnection(client, copy);
  });
  return {
    csv: copy,
    countRows: async () => {
      // The count arrives after the last row; the next statement's answer comes after both.
      await client.query("SELECT 1");
      return copy.rowCount;
    },
  };
}

/** What the driver and the COPY stream share, which their types do not say. */
interface Submitted {
  handleError: () => void;
  readonly connection?: { readonly stream: Socket };
}

/**
 * A COPY that nobody reads to its end blocks the server in its send, deaf to the farewell that the driver would write: it
 * would keep the export lock for ever. Only closing the socket under it helps; the pool then drops the connection.
 */
function cutConnection(client: PoolClient, copy: ReturnType<typeof copyTo>): void {
  // The driver reports the loss that we have just caused: as an event of the client, and to the COPY, where it would
  // replace the reason for which the export ended.
  client.on("error", () => undefined);
  const query = copy as typeof copy & Submitted;
  query.handleError = () => undefined;
  query.connection?.stream.destroy();
}
