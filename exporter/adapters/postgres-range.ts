import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { hasCode } from "../../lib/error.ts";
import type { RowRange, SourceStatus } from "../types.ts";

/** How long an export waits for transactions that were open when it began. Later their rows go into the next export. */
const HORIZON_WAIT_MS = 3_000;
const HORIZON_POLL_MS = 50;
const INSUFFICIENT_PRIVILEGE = "42501";

/**
 * The rows behind the last finished export, up to the horizon: the oldest transaction still open in the whole cluster.
 * Above it a row with a smaller (xid, id) may still appear, and a cursor that had passed it would lose it for ever.
 */
export async function newRange(
  database: Database,
  evenIfEmpty: boolean,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<RowRange | undefined> {
  const horizonXid = await settledHorizon(database, clock, log);
  const after = await cursor(database);
  const { rows } = await database.query<{ xid: string; id: string; cutoff: Date }>(
    `SELECT a.xid::text AS xid, a.id::text AS id, now() AS cutoff FROM runbooks_audit a
     WHERE a.xid < $1::xid8 AND ($2::xid8 IS NULL OR (a.xid, a.id) > ($2::xid8, $3::bigint))
     ORDER BY a.xid DESC, a.id DESC LIMIT 1`,
    [horizonXid, after?.xid, after?.id],
  );
  const last = rows[0];
  if (last !== undefined) {
    return { after, last: { xid: last.xid, id: last.id }, horizonXid, cutoff: last.cutoff };
  }
  if (!evenIfEmpty) return undefined;
  return {
    after,
    last: after ?? { xid: "0", id: "0" },
    horizonXid,
    cutoff: await timeOf(database),
  };
}

/** One clock for all exports, also those without rows: their names and cutoffs are compared with each other. */
async function timeOf(database: Database): Promise<Date> {
  const { rows } = await database.query<{ now: Date }>("SELECT now() AS now");
  const [row] = rows;
  if (row === undefined) throw new Error("the database has no time");
  return row.now;
}

/** Waits a moment until everything committed so far is below the horizon; a long transaction elsewhere is not waited for. */
async function settledHorizon(database: Database, clock: Clock, log: Log): Promise<string> {
  const { xmax: begun } = await snapshot(database);
  for (let waitedMs = 0; ; waitedMs += HORIZON_POLL_MS) {
    const { xmin } = await snapshot(database);
    if (BigInt(xmin) >= BigInt(begun)) return xmin;
    if (waitedMs >= HORIZON_WAIT_MS) {
      log.warn("an open transaction holds back the newest rows", { horizon_xid: xmin });
      return xmin;
    }
    await clock.sleep(HORIZON_POLL_MS);
  }
}

async function snapshot(database: Database): Promise<{ xmin: string; xmax: string }> {
  const { rows } = await database.query<{ xmin: string; xmax: string }>(
    `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin,
            pg_snapshot_xmax(pg_current_snapshot())::text AS xmax`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the database has no snapshot");
  return row;
}

async function cursor(database: Database): Promise<RowRange["after"]> {
  const { rows } = await database.query<{ xid: string; id: string; cluster: string | null }>(
    `SELECT last_xid::text AS xid, last_id::text AS id, system_identifier AS cluster
     FROM audit_exports WHERE state = 'done' ORDER BY last_xid DESC, last_id DESC LIMIT 1`,
  );
  const [last] = rows;
  if (last === undefined) return undefined;
  refuseOtherCluster(last.cluster, await systemIdentifier(database));
  return { xid: last.xid, id: last.id };
}

/** Names the cluster that transaction ids belong to; null where the role may not ask. */
export async function systemIdentifier(database: Database): Promise<string | null> {
  try {
    const { rows } = await database.query<{ id: string }>(
      "SELECT system_identifier::text AS id FROM pg_control_system()",
    );
    return rows[0]?.id ?? null;
  } catch (error) {
    if (hasCode(error, INSUFFICIENT_PRIVILEGE)) return null;
    throw error;
  }
}

/** After dump and restore transaction ids start anew, and new rows would sort below the cursor: never exported, silently. */
export function refuseOtherCluster(recorded: string | null, current: string | null): void {
  if (recorded === null || current === null || recorded === current) return;
  throw new Error(
    "this database was restored from another cluster: its transaction ids do not continue those of earlier exports. " +
      "Empty audit_export_receipts, audit_export_builds and audit_exports to export everything anew",
  );
}

/** One look for the metrics; cheap, because the index on (xid, id) answers it. */
export async function sourceStatus(database: Database): Promise<SourceStatus> {
  const { rows } = await database.query<{ done: Date | null; open: boolean; age: number }>(
    `SELECT (SELECT max(done_at) FROM audit_exports) AS done,
            EXISTS (SELECT FROM audit_exports WHERE state <> 'done') AS open,
            coalesce((SELECT extract(epoch FROM now() - min(a.ts)) FROM runbooks_audit a
              WHERE a.xid >= pg_snapshot_xmin(pg_current_snapshot())), 0)::float8 AS age`,
  );
  const row = rows[0];
  return {
    lastDoneAt: row?.done ?? undefined,
    hasUnfinished: row?.open ?? false,
    horizonAgeSeconds: Math.max(0, row?.age ?? 0),
  };
}
