import type { Anomaly } from "./types.ts";

const KEPT_MAX = 100;

/** The latest anomalies in memory, for a detector without a database. Newest first. */
export interface RecentAnomalies {
  remember(anomaly: Anomaly): void;
  list(limit: number): readonly Anomaly[];
}

export function createRecentAnomalies(): RecentAnomalies {
  let kept: readonly Anomaly[] = [];
  return {
    remember: (anomaly) => {
      kept = [anomaly, ...kept.filter(({ id }) => id !== anomaly.id)].slice(0, KEPT_MAX);
    },
    list: (limit) => kept.slice(0, limit),
  };
}
