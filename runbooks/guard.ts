import type { Queryable } from "../lib/postgres.ts";
import { breakerRefusal, type BreakerState } from "./breaker.ts";
import type { BreakerLimits, BreakerView } from "./types.ts";

/** The breaker's counters now, for a decision. Takes nothing. */
export async function readBreaker(
  appKey: string,
  database: Queryable,
  view: BreakerView | undefined,
): Promise<BreakerState> {
  const shared = view === undefined ? { hour: 0, day: 0 } : await view.used(appKey);
  if (shared === undefined) return { kind: "unknown" };
  const own = await countSlots(appKey, database);
  return {
    ...own,
    usedHour: Math.max(own.usedHour, shared.hour),
    usedDay: Math.max(own.usedDay, shared.day),
  };
}

/**
 * Takes one slot for a run, or says why not. Call it in the transaction that commits the intent to act.
 *
 * The breaker's row is locked first, so that the count cannot change before the slot is in: with 64 clients,
 * count-then-insert without the lock overshot a limit of 3 to 5 (measured). A run's second try keeps its first slot, and a
 * slot is never given back: what was attempted may have happened.
 */
export async function takeSlot(
  {
    appKey,
    runId,
    limits,
  }: { readonly appKey: string; readonly runId: string; readonly limits: BreakerLimits },
  tx: Queryable,
): Promise<{ readonly taken: true } | { readonly taken: false; readonly why: string }> {
  await tx.query("INSERT INTO breakers (app_key) VALUES ($1) ON CONFLICT DO NOTHING", [appKey]);
  await tx.query("SELECT 1 FROM breakers WHERE app_key = $1 FOR UPDATE", [appKey]);
  const { rowCount: own } = await tx.query("SELECT 1 FROM breaker_slots WHERE run_id = $1", [
    runId,
  ]);
  if (own > 0) return { taken: true };
  const why = breakerRefusal(await countSlots(appKey, tx), limits);
  if (why !== undefined) return { taken: false, why };
  await tx.query("INSERT INTO breaker_slots (run_id, app_key) VALUES ($1, $2)", [runId, appKey]);
  return { taken: true };
}

/** Windows end at the database's now(): one clock for all replicas. */
async function countSlots(
  appKey: string,
  database: Queryable,
): Promise<Extract<BreakerState, { kind: "known" }>> {
  const { rows } = await database.query<{ open: boolean; hour: number; day: number }>(
    `SELECT EXISTS (SELECT 1 FROM breakers WHERE app_key = $1 AND state = 'open') AS open,
            count(*) FILTER (WHERE taken_at > now() - interval '1 hour')::int AS hour,
            count(*)::int AS day
       FROM breaker_slots WHERE app_key = $1 AND taken_at > now() - interval '1 day'`,
    [appKey],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the breaker's count returned no row");
  return { kind: "known", open: row.open, usedHour: row.hour, usedDay: row.day };
}
