import type { Database, Queryable } from "../lib/postgres.ts";
import { appendAudit } from "./audit.ts";
import { lockRun } from "./open-again.ts";
import type { RunState } from "./types/run.ts";

export interface CancelRequest {
  readonly runId: string;
  /** The person; anybody may stop what has not begun. */
  readonly by: string;
  readonly via: "cli" | "page";
  readonly reason: string | undefined;
}

export type CancelOutcome =
  | { readonly kind: "cancelled"; readonly runId: string }
  | { readonly kind: "not_found" }
  /** It has ended by itself. */
  | { readonly kind: "over"; readonly state: RunState }
  /** The cluster may have been called: what is done cannot be cancelled. */
  | { readonly kind: "too_late"; readonly state: RunState };

/** From here on the cluster may have been called. */
export const BEGUN: readonly RunState[] = ["intent", "verifying"];

/**
 * Ends a run that has done nothing yet, and its request with it. A worker that is at it loses it: the fence moves. The
 * breaker keeps what it has counted, as nothing was taken.
 */
export async function cancelRun(
  request: CancelRequest,
  { database }: { readonly database: Database },
): Promise<CancelOutcome> {
  return database.inTransaction(async (tx) => cancel(tx, request));
}

async function cancel(
  tx: Queryable,
  { runId, by, via, reason }: CancelRequest,
): Promise<CancelOutcome> {
  // Those who answer take the request's row before the run's: so does everybody.
  await tx.query(
    "SELECT 1 FROM approvals WHERE run_id = $1 AND state = 'pending' ORDER BY id FOR UPDATE",
    [runId],
  );
  const run = await lockRun(tx, runId);
  if (run === undefined) return { kind: "not_found" };
  if (run.over) return { kind: "over", state: run.state };
  if (BEGUN.includes(run.state)) return { kind: "too_late", state: run.state };
  const why = `cancelled by ${by}${reason === undefined ? "" : `: ${reason}`}`;
  await tx.query(
    `UPDATE runs SET state = 'cancelled', outcome = $2, finished_at = now(), updated_at = now(), state_since = now(),
            lease_token = lease_token + 1, lease_until = NULL
      WHERE id = $1`,
    [runId, why],
  );
  await tx.query(
    `UPDATE approvals SET state = 'cancelled', decided_at = now(), decided_by = $2, decided_via = $3, reason = $4
      WHERE run_id = $1 AND state = 'pending'`,
    [runId, by, via, reason ?? null],
  );
  const detail = { via, reason, state_before: run.state };
  await appendAudit(tx, run, [{ event: "cancelled", actor: by, detail }]);
  return { kind: "cancelled", runId };
}
