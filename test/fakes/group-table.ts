import type { GroupTable, GroupView, ReplicaView } from "../../detector/types/groups.ts";

/** The leases of one database in memory, without any time: a test says whose have run out. */
export interface FakeGroups {
  /** While it is true nobody gets an answer. */
  down: boolean;
  /** Leases of this replica have run out. */
  expire(replica: string): void;
  owner(metric: string): string | undefined;
  tableOf(replica: string): GroupTable;
}

interface Row {
  owner: string | undefined;
  epoch: number;
  expired: boolean;
}

export function fakeGroups(): FakeGroups {
  const rows = new Map<string, Row>();
  const replicas = new Map<string, ReplicaView>();
  const rowOf = (metric: string): Row => {
    const row = rows.get(metric) ?? { owner: undefined, epoch: 0, expired: false };
    rows.set(metric, row);
    return row;
  };
  const groups: FakeGroups = {
    down: false,
    expire: (replica) => {
      for (const row of rows.values()) row.expired ||= row.owner === replica;
      replicas.delete(replica);
    },
    owner: (metric) => rows.get(metric)?.owner,
    tableOf: (replica) => {
      const reach = async (): Promise<void> => {
        if (groups.down) throw Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
      };
      return {
        beat: async (metrics, held) => {
          await reach();
          replicas.set(replica, { id: replica, metrics, settled: true });
          for (const metric of metrics) rowOf(metric);
          const renewed = held.filter(({ metric, epoch }) => {
            const row = rowOf(metric);
            return row.owner === replica && row.epoch === Number(epoch);
          });
          for (const { metric } of renewed) rowOf(metric).expired = false;
          const views = [...rows].map(([metric, { owner, expired }]): GroupView => ({
            metric,
            owner: expired ? undefined : owner,
            abandoned: expired,
          }));
          return {
            held: renewed.map(({ metric }) => metric),
            replicas: [...replicas.values()],
            groups: views,
          };
        },
        take: async (metric, { abandoned }) => {
          await reach();
          const row = rowOf(metric);
          if (row.owner !== undefined && !(abandoned && row.expired)) return undefined;
          Object.assign(row, { owner: replica, epoch: row.epoch + 1, expired: false });
          return String(row.epoch);
        },
        release: async ({ metric }) => {
          await reach();
          rowOf(metric).owner = undefined;
        },
        leave: async () => {
          await reach();
          for (const row of rows.values()) if (row.owner === replica) row.owner = undefined;
          replicas.delete(replica);
        },
      };
    },
  };
  return groups;
}
