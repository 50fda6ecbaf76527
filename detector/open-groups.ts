import { systemClock, type Clock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { DetectorConfig } from "./config.ts";
import { GroupLeases, type LeaseTimes } from "./group-leases.ts";
import { Journal, type JournalStore } from "./journal.ts";
import type { DetectorMetrics } from "./metrics.ts";
import type { GroupTable } from "./types/groups.ts";
import type { AnomalyStore } from "./types/store.ts";
import { WatchedGroups } from "./watched-groups.ts";
import type { SeriesBudget } from "./watched-metric.ts";

/** One replica: its name, how fast others notice its end, and what its groups are kept in. */
export interface Replica {
  readonly replica: string;
  readonly times: LeaseTimes;
  /** Undefined without a database. */
  readonly tables: GroupTables | undefined;
}

interface GroupTables {
  readonly table: GroupTable;
  readonly fenced: JournalStore;
  readonly store: Pick<AnomalyStore, "resume">;
}

interface GroupParts {
  readonly metrics: DetectorMetrics;
  readonly clock: Clock;
  readonly log: Log;
  readonly stack: StopStack;
}

interface Groups {
  readonly leases: GroupLeases;
  readonly journal: Journal;
  readonly groups: WatchedGroups;
  readonly budget: SeriesBudget;
}

/** Which metrics are ours, what is remembered of them, and what is written down about them. */
export async function openGroups(
  config: DetectorConfig,
  { replica, times, tables }: Replica,
  { metrics, clock, log, stack }: GroupParts,
): Promise<Groups> {
  const leases = new GroupLeases({
    ...{ replica, times, counted: metrics, log, table: tables?.table },
    metrics: config.metrics.map(({ name }) => name),
    clock: systemClock, // the database's time, also when the detector lives faster
  });
  stack.add("groups", async () => leases.stop());
  const journal = new Journal({ store: tables?.fenced, leases, metrics, log });
  const budget = { max: config.maxSeries, used: 0 };
  const groups = new WatchedGroups(config.metrics, {
    ...{ leases, store: tables?.store, metrics, clock, budget, log },
    step: config.intervalSeconds * 1000,
    backfillPoints: config.backfillPoints,
  });
  await leases.begin();
  await groups.follow();
  return { leases, journal, groups, budget };
}

/** The database is in trouble when either of those who write all the time says so. */
export function faultsOf(
  journal: Journal,
  leases: GroupLeases,
): { readonly fault: unknown; readonly waiting: number } {
  return {
    get fault() {
      return journal.fault ?? leases.fault;
    },
    get waiting() {
      return journal.waiting;
    },
  };
}
