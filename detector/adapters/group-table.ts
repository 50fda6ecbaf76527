import type { Database, Queryable } from "../../lib/postgres.ts";
import type { GroupTable, GroupView, HeldGroup, Picture, ReplicaView } from "../types/groups.ts";

/** A replica that was not heard of for so long is forgotten. */
const FORGOTTEN = "1 day";
/** Parameter $1 of the statements below is a lease in milliseconds. */
const LEASE = "$1 * interval '1 millisecond'";

/** A process that freezes in mid-transaction must not hold its groups' rows: the server ends it, not the pool's 30 s. */
export const LOCKS_END = "set_config('idle_in_transaction_session_timeout', '5s', true)";

interface Me {
  readonly replica: string;
  readonly leaseMs: number;
}

/** The leases in PostgreSQL (sql/0006_detector_groups.sql). */
export function openGroupTable(database: Database, me: Me): GroupTable {
  const { replica, leaseMs } = me;
  return {
    beat: async (metrics, held) => {
      // In order, and apart from the leases: two replicas that start together wait for each other at most once.
      await database.query(
        `INSERT INTO aiops_groups (metric) SELECT DISTINCT unnest($1::text[]) ORDER BY 1
         ON CONFLICT DO NOTHING`,
        [metrics],
      );
      return database.inTransaction(async (tx) => {
        await sayAlive(tx, metrics, me);
        return look(tx, await renew(tx, held, me), me);
      });
    },
    take: async (metric, { abandoned }) => {
      const { rows } = await database.query<{ epoch: string }>(
        `UPDATE aiops_groups SET owner = $2, epoch = epoch + 1, lease_until = now() + ${LEASE}
         WHERE metric = $3 AND (owner IS NULL OR owner = $2 OR ($4 AND lease_until < now()))
         RETURNING epoch`,
        [leaseMs, replica, metric, abandoned],
      );
      return rows[0]?.epoch;
    },
    release: async ({ metric, epoch }) => {
      await database.query(
        `UPDATE aiops_groups SET owner = NULL, lease_until = NULL
         WHERE metric = $1 AND owner = $2 AND epoch = $3`,
        [metric, replica, epoch],
      );
    },
    leave: async () => {
      await database.query(
        "UPDATE aiops_groups SET owner = NULL, lease_until = NULL WHERE owner = $1",
        [replica],
      );
      await database.query("DELETE FROM aiops_replicas WHERE id = $1", [replica]);
    },
  };
}

/** A pause of half a lease makes a newcomer of it: meanwhile the leases of others may have run out for the same reason. */
async function sayAlive(
  tx: Queryable,
  metrics: readonly string[],
  { replica, leaseMs }: Me,
): Promise<void> {
  await tx.query(
    `INSERT INTO aiops_replicas (id, metrics) VALUES ($2, $3)
     ON CONFLICT (id) DO UPDATE SET metrics = excluded.metrics, seen_at = now(),
       joined_at = CASE WHEN aiops_replicas.seen_at < now() - ${LEASE} / 2 THEN now() ELSE aiops_replicas.joined_at END
     RETURNING ${LOCKS_END}`,
    [leaseMs, replica, metrics],
  );
  await tx.query(
    `DELETE FROM aiops_replicas WHERE id IN (
       SELECT id FROM aiops_replicas WHERE seen_at < now() - interval '${FORGOTTEN}' FOR UPDATE SKIP LOCKED)`,
  );
}

/** Rows are locked in the order of their names, as by those who write under a lease (adapters/fenced-store.ts). */
async function renew(
  tx: Queryable,
  held: readonly HeldGroup[],
  { replica, leaseMs }: Me,
): Promise<readonly string[]> {
  const { rows } = await tx.query<{ metric: string }>(
    `WITH mine AS (
       SELECT g.metric FROM aiops_groups g
       JOIN unnest($3::text[], $4::bigint[]) AS held (metric, epoch) ON g.metric = held.metric AND g.epoch = held.epoch
       WHERE g.owner = $2 ORDER BY g.metric FOR UPDATE OF g)
     UPDATE aiops_groups g SET lease_until = now() + ${LEASE}
     FROM mine WHERE g.metric = mine.metric RETURNING g.metric`,
    [leaseMs, replica, held.map(({ metric }) => metric), held.map(({ epoch }) => epoch)],
  );
  return rows.map(({ metric }) => metric);
}

async function look(
  tx: Queryable,
  held: readonly string[],
  { replica, leaseMs }: Me,
): Promise<Picture> {
  const replicas = await tx.query<ReplicaView>(
    `SELECT id, metrics, joined_at <= now() - ${LEASE} AS settled
     FROM aiops_replicas WHERE seen_at > now() - ${LEASE}`,
    [leaseMs],
  );
  const { rows } = await tx.query<{ metric: string; owner: string | null; expired: boolean }>(
    "SELECT metric, owner, coalesce(lease_until < now(), false) AS expired FROM aiops_groups",
  );
  const groups = rows.map(({ metric, owner, expired }): GroupView => {
    // A lease of ours that we do not know of was given in an answer that never arrived.
    const unknown = owner === replica && !held.includes(metric);
    if (owner === null || unknown) return { metric, owner: undefined, abandoned: false };
    return { metric, owner: expired ? undefined : owner, abandoned: expired };
  });
  return { held, replicas: replicas.rows, groups };
}
