import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Database, Queryable } from "../lib/postgres.ts";

const INTERVAL_MS = 60 * 60 * 1000;
/** Rows of one statement: it must not hold up those who store alerts. */
const BATCH_ROWS = 1_000;
const PAUSE_MS = 100;
/** A group that nobody has told of for so long is gone; its next delivery says anew whether it is whole. */
const GROUP_DAYS = 30;

export interface RetentionDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly inboxDays: number;
  readonly episodeDays: number;
}

/** What is deleted by its age, each with its days as $1 and the rows of a batch as $2. */
const EXPIRED = {
  /** Those that were set aside go as well: whoever wants to know why has had his time. */
  inbox: `SELECT id FROM inbox WHERE processed_at < now() - make_interval(days => $1) ORDER BY processed_at LIMIT $2`,
  episodes: `SELECT id FROM episodes WHERE resolved_at < now() - make_interval(days => $1)
             ORDER BY resolved_at LIMIT $2`,
} as const;

/** Deletes old deliveries and old alerts, every hour. Any number of replicas may do it at once. */
export async function retainUntil(signal: AbortSignal, deps: RetentionDeps): Promise<void> {
  while (!signal.aborted) {
    try {
      const deleted = await deleteExpired(signal, deps);
      if (deleted.inbox + deleted.episodes + deleted.groups > 0)
        deps.log.info("old alerts deleted", { ...deleted });
    } catch (error) {
      deps.log.warn("old alerts not deleted, will be tried again", { error });
    }
    await deps.clock.sleep(INTERVAL_MS, signal);
  }
}

interface Deleted {
  readonly inbox: number;
  readonly episodes: number;
  readonly groups: number;
}

/** Deletes all that is too old now, in batches. */
export async function deleteExpired(signal: AbortSignal, deps: RetentionDeps): Promise<Deleted> {
  const { database, inboxDays, episodeDays } = deps;
  const inAll = async (batch: (tx: Queryable) => Promise<number>) => {
    let all = 0;
    for (let rows = BATCH_ROWS; rows === BATCH_ROWS && !signal.aborted; all += rows) {
      if (all > 0) await deps.clock.sleep(PAUSE_MS, signal);
      rows = await batch(database);
    }
    return all;
  };
  return {
    inbox: await inAll(async (tx) => deleteBatch(tx, "inbox", inboxDays)),
    episodes: await inAll(async (tx) => deleteBatch(tx, "episodes", episodeDays)),
    groups: await inAll(deleteGroups),
  };
}

async function deleteBatch(
  tx: Queryable,
  table: keyof typeof EXPIRED,
  days: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `DELETE FROM ${table} WHERE id IN (${EXPIRED[table]} FOR UPDATE SKIP LOCKED)`,
    [days, BATCH_ROWS],
  );
  return rowCount;
}

async function deleteGroups(tx: Queryable): Promise<number> {
  const { rowCount } = await tx.query(
    `DELETE FROM alert_groups WHERE (source, key_sha256) IN (
       SELECT source, key_sha256 FROM alert_groups WHERE seen_at < now() - make_interval(days => $1)
        LIMIT $2 FOR UPDATE SKIP LOCKED)`,
    [GROUP_DAYS, BATCH_ROWS],
  );
  return rowCount;
}
