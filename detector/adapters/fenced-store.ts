import type { Database, Queryable } from "../../lib/postgres.ts";
import type { JournalStore } from "../journal.ts";
import type { ChannelName } from "../types/delivery.ts";
import type { HeldGroup } from "../types/groups.ts";
import { LOCKS_END } from "./group-table.ts";
import { openStore } from "./postgres.ts";

/**
 * The store for writes that belong to a tenure: each is one transaction with the look at the lease, whose row it locks.
 * A takeover therefore comes either before it, and the write hits nothing, or after it, and sees what was written.
 */
export function openFencedStore(
  database: Database,
  channels: readonly ChannelName[],
  replica: string,
): JournalStore {
  const held = async (tx: Queryable, groups: readonly HeldGroup[]): Promise<readonly string[]> => {
    const { rows } = await tx.query<{ metric: string }>(
      `SELECT g.metric, ${LOCKS_END} FROM aiops_groups g
       JOIN unnest($2::text[], $3::bigint[]) AS named (metric, epoch) ON g.metric = named.metric AND g.epoch = named.epoch
       WHERE g.owner = $1 ORDER BY g.metric FOR SHARE OF g`,
      [replica, groups.map(({ metric }) => metric), groups.map(({ epoch }) => epoch)],
    );
    return rows.map(({ metric }) => metric);
  };
  const storeIn = (tx: Queryable) =>
    openStore({ ...database, ...tx, inTransaction: async (work) => work(tx) }, channels);
  return {
    open: async (anomaly, mailing, epoch) =>
      database.inTransaction(async (tx) => {
        const [metric] = await held(tx, [{ metric: anomaly.metric, epoch }]);
        return metric === undefined ? "not_owner" : storeIn(tx).open(anomaly, mailing);
      }),
    close: async (anomaly, mailing, epoch) =>
      database.inTransaction(async (tx) => {
        const [metric] = await held(tx, [{ metric: anomaly.metric, epoch }]);
        return metric === undefined ? "not_owner" : storeIn(tx).close(anomaly, mailing);
      }),
    settle: async (delivery, result) => openStore(database, channels).settle(delivery, result),
    saveProgress: async (progress, sightings) =>
      database.inTransaction(async (tx) => {
        const named = progress.map(({ name, epoch }) => ({ metric: name, epoch }));
        const ours = new Set(await held(tx, named));
        await storeIn(tx).saveProgress(
          progress.filter(({ name }) => ours.has(name)),
          sightings.filter(({ metric }) => ours.has(metric)),
        );
      }),
  };
}
