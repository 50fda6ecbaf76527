import type { Database, Queryable } from "../../lib/postgres.ts";
import type { CollectionIndex, CollectStep } from "../types/collect.ts";

/** A worker renews its lease three times before it ends. */
export const LEASE_SECONDS = 15;
/** When a worker that was killed is replaced: a little after its lease. */
const AFTER_LEASE = "interval '20 seconds'";
/** A job does what is to be done at once; the sweep looks only when it has not come by then. */
const JOB_GRACE = "interval '15 seconds'";
/** More are not ordered: in a storm they would come too late for anybody. */
const WAITING_MAX = 50;

/** A collection that this worker holds; the token is its fence. */
export interface TakenCollection {
  readonly runId: string;
  readonly token: string;
  readonly state: "waiting" | "gathered";
  readonly objectKey: string;
  readonly steps: readonly CollectStep[];
  readonly attempts: number;
  readonly ageSeconds: number;
  readonly held: Buffer | undefined;
  readonly sha256: string | undefined;
  readonly index: CollectionIndex | undefined;
}

/** Another worker has taken it over: stop, and write nothing. */
export class CollectionLost extends Error {
  override readonly name = "CollectionLost";
}

/** @returns false when too many wait already; that is written down as well */
export async function orderCollection(
  tx: Queryable,
  order: { readonly runId: string; readonly key: string; readonly steps: readonly CollectStep[] },
): Promise<boolean> {
  const { rows } = await tx.query<{ state: string }>(
    `INSERT INTO collections (run_id, object_key, steps, state, next_at, problem)
     SELECT $1, $2, $3, CASE WHEN busy THEN 'failed' ELSE 'waiting' END,
            CASE WHEN NOT busy THEN now() + ${JOB_GRACE} END,
            CASE WHEN busy THEN 'not gathered: ${WAITING_MAX} others were waiting' END
       FROM (SELECT count(*) >= ${WAITING_MAX} AS busy FROM collections WHERE state = 'waiting') AS crowd
     ON CONFLICT (run_id) DO NOTHING RETURNING state`,
    [order.runId, order.key, JSON.stringify(order.steps)],
  );
  return rows[0]?.state === "waiting";
}

export async function isSettled(runId: string, db: Queryable): Promise<boolean> {
  const { rows } = await db.query(
    "SELECT 1 FROM collections WHERE run_id = $1 AND state = 'waiting'",
    [runId],
  );
  return rows.length === 0;
}

interface TakenRow {
  readonly run_id: string;
  readonly lease_token: string;
  readonly state: TakenCollection["state"];
  readonly object_key: string;
  readonly steps: readonly CollectStep[];
  readonly attempts: number;
  readonly age: number;
  readonly held: Buffer | null;
  readonly sha256: string | null;
  readonly index: CollectionIndex | null;
}

/** Undefined when nothing is left to do, or somebody is at it. */
export async function takeCollection(
  runId: string,
  db: Queryable,
): Promise<TakenCollection | undefined> {
  const { rows } = await db.query<TakenRow>(
    `UPDATE collections SET lease_token = lease_token + 1, attempts = attempts + 1,
            lease_until = now() + make_interval(secs => $2), next_at = now() + ${AFTER_LEASE}
      WHERE run_id = $1 AND next_at IS NOT NULL AND (lease_until IS NULL OR lease_until < now())
      RETURNING run_id, lease_token, state, object_key, steps, attempts, held, sha256, index,
                extract(epoch FROM now() - created_at)::float AS age`,
    [runId, LEASE_SECONDS],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    runId: row.run_id,
    token: row.lease_token,
    state: row.state,
    objectKey: row.object_key,
    steps: row.steps,
    attempts: row.attempts,
    ageSeconds: row.age,
    held: row.held ?? undefined,
    sha256: row.sha256 ?? undefined,
    index: row.index ?? undefined,
  };
}

/** @throws CollectionLost */
export async function renew(taken: TakenCollection, db: Queryable): Promise<void> {
  await fenced(
    db,
    `UPDATE collections SET lease_until = now() + make_interval(secs => $3), next_at = now() + ${AFTER_LEASE}
      WHERE run_id = $1 AND lease_token = $2 AND next_at IS NOT NULL`,
    [taken.runId, taken.token, LEASE_SECONDS],
  );
}

/** Gathered, and safe in the database. @throws CollectionLost */
export async function keepBundle(
  tx: Queryable,
  taken: TakenCollection,
  bundle: { readonly bytes: Buffer; readonly sha256: string; readonly index: CollectionIndex },
  /** Whether a store is to have it as well. */
  pending: boolean,
): Promise<void> {
  await fenced(
    tx,
    `UPDATE collections SET state = 'gathered', gathered_at = now(), attempts = 0, held = $3::bytea, bytes = octet_length($3::bytea),
            sha256 = $4, index = $5, next_at = CASE WHEN $6 THEN next_at END
      WHERE run_id = $1 AND lease_token = $2`,
    [taken.runId, taken.token, bundle.bytes, bundle.sha256, JSON.stringify(bundle.index), pending],
  );
}

export interface Uploaded {
  readonly location: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly index: CollectionIndex;
  readonly link: { readonly url: string; readonly seconds: number } | undefined;
}

/** The store has it: the database need not keep it any more. @throws CollectionLost */
export async function markUploaded(
  tx: Queryable,
  taken: TakenCollection,
  { location, bytes, sha256, index, link }: Uploaded,
): Promise<void> {
  await fenced(
    tx,
    `UPDATE collections SET state = 'uploaded', uploaded_at = now(), next_at = NULL, held = NULL, problem = NULL,
            location = $3, bytes = $4, sha256 = $5, index = $6, link = $7,
            link_until = now() + make_interval(secs => $8)
      WHERE run_id = $1 AND lease_token = $2`,
    [
      taken.runId,
      taken.token,
      location,
      bytes,
      sha256,
      JSON.stringify(index),
      link?.url ?? null,
      link?.seconds ?? null,
    ],
  );
}

/** It did not go: again in `seconds`, or never when undefined. */
export async function postpone(
  db: Queryable,
  taken: TakenCollection,
  {
    seconds,
    problem,
  }: { readonly seconds: number | undefined; readonly problem: string | undefined },
): Promise<void> {
  await db.query(
    `UPDATE collections SET next_at = now() + make_interval(secs => $3::float), problem = coalesce($4, problem),
            state = CASE WHEN $3::float IS NULL THEN 'failed' ELSE state END
      WHERE run_id = $1 AND lease_token = $2`,
    [taken.runId, taken.token, seconds ?? null, problem ?? null],
  );
}

/** Gives the collection back. */
export async function release(taken: TakenCollection, db: Queryable): Promise<void> {
  await db.query(
    "UPDATE collections SET lease_until = NULL WHERE run_id = $1 AND lease_token = $2",
    [taken.runId, taken.token],
  );
}

const DUE_MAX = 20;

/** Those of which it is time to look at: their job was lost, their worker was killed, or they wait for the store. */
export async function dueCollections(db: Database): Promise<readonly string[]> {
  const { rows } = await db.query<{ run_id: string }>(
    `SELECT run_id FROM collections
      WHERE next_at <= now() AND (lease_until IS NULL OR lease_until < now())
      ORDER BY next_at LIMIT ${DUE_MAX}`,
  );
  return rows.map(({ run_id: id }) => id);
}

/** How many bundles wait for their store. */
export async function waitingUploads(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ pending: number }>(
    "SELECT count(*)::int AS pending FROM collections WHERE state = 'gathered' AND next_at IS NOT NULL",
  );
  return rows[0]?.pending ?? 0;
}

/** Forgets what the database keeps for longer than `days`; what a store has is the store's own business. */
export async function forgetOld(days: number, db: Queryable): Promise<number> {
  const { rowCount } = await db.query(
    `UPDATE collections SET held = NULL
      WHERE run_id IN (SELECT run_id FROM collections
                        WHERE held IS NOT NULL AND next_at IS NULL AND created_at < now() - make_interval(days => $1)
                        ORDER BY created_at LIMIT 500)`,
    [days],
  );
  return rowCount;
}

async function fenced(db: Queryable, sql: string, values: readonly unknown[]): Promise<void> {
  const { rowCount } = await db.query(sql, values);
  if (rowCount === 0)
    throw new CollectionLost(`the collection of ${String(values[0])} was taken over`);
}
