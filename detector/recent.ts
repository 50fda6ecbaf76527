import type { Anomaly, AnomalyArchive } from "./types.ts";

const KEPT_MAX = 100;

/** The latest anomalies in memory: all that a detector without a database can look up. Newest first. */
export interface RecentAnomalies extends AnomalyArchive {
  remember(anomaly: Anomaly): void;
}

export function createRecentAnomalies(): RecentAnomalies {
  let kept: readonly Anomaly[] = [];
  return {
    remember: (anomaly) => {
      kept = [anomaly, ...kept.filter(({ id }) => id !== anomaly.id)].slice(0, KEPT_MAX);
    },
    find: (wanted) => Promise.resolve(kept.find(({ id }) => id === wanted)),
    list: ({ limit, state, metric }) => {
      const found = kept.filter(
        (one) =>
          (metric === undefined || one.metric === metric) &&
          (state === undefined || (state === "open") === (one.closedAt === undefined)),
      );
      return Promise.resolve(found.slice(0, limit));
    },
  };
}
