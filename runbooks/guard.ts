import type { Database, Queryable } from "../lib/postgres.ts";
import { appendAudit } from "./audit.ts";
import { breakerRefusal } from "./breaker.ts";
import type { BreakerLimits, BreakerState, BreakerView, Guard, Slot } from "./types/breaker.ts";
import type { Run } from "./types/run.ts";

interface GuardDeps {
  readonly database: Database;
  readonly limits: BreakerLimits;
  readonly view: BreakerView | undefined;
}

/** So many verified actions on a target in a row that did not help: more of them will not either. */
const INEFFECTIVE = 3;

/**
 * The breaker in Postgres, with a faster view beside it where there is one. An action takes a slot of its target and one of
 * its app, both or none.
 */
export function openGuard({ database, limits, view }: GuardDeps): Guard {
  return {
    read: async ({ target, app }) => ({
      target: await readBreaker(target, database, view),
      app: await readBreaker(app, database, view),
    }),
    take: async ({ target, app, runId }, tx) => {
      const appKeys = [target, app];
      if (await hasSlot(runId, tx)) return { taken: true };
      for (const appKey of appKeys) {
        const why = breakerRefusal(await usedInView(appKey, tx, view), limits);
        if (why !== undefined) return { taken: false, why };
      }
      const slot = await takeSlot({ appKeys, runId, limits }, tx);
      // Nobody waits for the view under the breaker's lock; a slot too many, after a rollback, is on the safe side.
      if (slot.taken) for (const key of appKeys) void view?.taken(key, runId);
      return slot;
    },
    outcome: async (run, state, tx) => {
      if (state === "failed") await openIneffective(run, tx);
    },
  };
}

/** The breaker's counters now, for a decision. Takes nothing. */
async function readBreaker(
  appKey: string,
  database: Queryable,
  view: BreakerView | undefined,
): Promise<BreakerState> {
  const shared = await usedInView(appKey, database, view);
  if (shared.kind === "unknown") return shared;
  const own = await countSlots(appKey, database);
  return {
    ...own,
    usedHour: Math.max(own.usedHour, shared.usedHour),
    usedDay: Math.max(own.usedDay, shared.usedDay),
  };
}

/** A view that was emptied is filled from Postgres before it may say anything. */
async function usedInView(
  appKey: string,
  database: Queryable,
  view: BreakerView | undefined,
): Promise<BreakerState> {
  if (view === undefined) return { kind: "known", open: false, usedHour: 0, usedDay: 0 };
  let used = await view.used(appKey);
  if (used === "empty") {
    await view.rebuild(await slotsOfTheDay(database));
    used = await view.used(appKey);
  }
  if (used === undefined || used === "empty") return { kind: "unknown" };
  return { kind: "known", open: false, usedHour: used.hour, usedDay: used.day };
}

async function slotsOfTheDay(database: Queryable) {
  const { rows } = await database.query<{ appKey: string; runId: string; takenAt: Date }>(
    `SELECT app_key AS "appKey", run_id AS "runId", taken_at AS "takenAt"
       FROM breaker_slots WHERE taken_at > now() - interval '1 day'`,
  );
  return rows;
}

async function hasSlot(runId: string, database: Queryable): Promise<boolean> {
  const { rowCount } = await database.query("SELECT 1 FROM breaker_slots WHERE run_id = $1", [
    runId,
  ]);
  return rowCount > 0;
}

/**
 * Takes one slot of every key for a run, or says why not. Call it in the transaction that commits the intent to act.
 *
 * The breakers' rows are locked first, in one order, so that no count can change before the slots are in: with 64 clients,
 * count-then-insert without the lock overshot a limit of 3 to 5 (measured). A run's second try keeps its first slots, and
 * a slot is never given back: what was attempted may have happened.
 */
export async function takeSlot(
  {
    appKeys,
    runId,
    limits,
  }: {
    readonly appKeys: readonly string[];
    readonly runId: string;
    readonly limits: BreakerLimits;
  },
  tx: Queryable,
): Promise<Slot> {
  const keys = [...appKeys].sort();
  await tx.query(
    "INSERT INTO breakers (app_key) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
    [keys],
  );
  await tx.query("SELECT 1 FROM breakers WHERE app_key = ANY ($1) ORDER BY app_key FOR UPDATE", [
    keys,
  ]);
  if (await hasSlot(runId, tx)) return { taken: true };
  for (const key of keys) {
    const why = breakerRefusal(await countSlots(key, tx), limits);
    if (why !== undefined) return { taken: false, why };
  }
  await tx.query("INSERT INTO breaker_slots (run_id, app_key) SELECT $1, unnest($2::text[])", [
    runId,
    keys,
  ]);
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

/**
 * Opens the target's breaker when the run that ends now, and the ones before it, did not help. What could not be found out
 * neither counts nor breaks the row; a person's close starts it anew.
 */
async function openIneffective(run: Run, tx: Queryable): Promise<void> {
  await tx.query("SELECT 1 FROM breakers WHERE app_key = $1 FOR UPDATE", [run.targetKey]);
  const { rows } = await tx.query<{ state: string }>(
    `SELECT r.state FROM runs r JOIN breakers b ON b.app_key = r.target_key
      WHERE r.target_key = $1 AND r.id <> $2 AND r.state IN ('succeeded', 'failed')
        AND r.finished_at > coalesce(b.closed_at, '-infinity')
        AND EXISTS (SELECT 1 FROM runbooks_audit a WHERE a.run_id = r.id AND a.event = 'executed')
      ORDER BY r.finished_at DESC LIMIT $3`,
    [run.targetKey, run.id, INEFFECTIVE - 1],
  );
  const failed = rows.filter(({ state }) => state === "failed").length + 1;
  if (failed < INEFFECTIVE) return;
  const reason = `the last ${INEFFECTIVE} actions did not help`;
  const { rowCount } = await tx.query(
    `UPDATE breakers SET state = 'open', reason = $2, opened_at = now(), opened_by = 'fettle'
      WHERE app_key = $1 AND state = 'closed'`,
    [run.targetKey, reason],
  );
  if (rowCount > 0) {
    const detail = { breaker: run.targetKey, why: reason };
    // Deliveries take the run's row and then the end of its record: so does everybody, or they wait for each other.
    await tx.query("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", [run.id]);
    await appendAudit(tx, run, [{ event: "breaker_opened", actor: "fettle", detail }]);
  }
}
