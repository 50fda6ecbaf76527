import type { Anomaly, AnomalyArchive, AnomalyCursor } from "./types/anomaly.ts";

const KEPT_MAX = 100;

/** The latest anomalies in memory: all that a detector without a database can look up. */
export interface RecentAnomalies extends AnomalyArchive {
  remember(anomaly: Anomaly): void;
}

export function createRecentAnomalies(): RecentAnomalies {
  let kept: readonly Anomaly[] = [];
  return {
    remember: (anomaly) => {
      const memory = anomaly.memory ?? kept.find(({ id }) => id === anomaly.id)?.memory;
      kept = [{ ...anomaly, memory }, ...kept.filter(({ id }) => id !== anomaly.id)].slice(
        0,
        KEPT_MAX,
      );
    },
    find: (wanted) => Promise.resolve(kept.find(({ id }) => id === wanted)),
    memoryOf: (wanted) => Promise.resolve(kept.find(({ id }) => id === wanted)?.memory),
    list: ({ limit, state, metric, after }) => {
      const found = kept.filter(
        (one) =>
          (metric === undefined || one.metric === metric) &&
          (state === undefined || (state === "open") === (one.closedAt === undefined)) &&
          (after === undefined || inOrder(after, one) < 0),
      );
      return Promise.resolve(found.sort(inOrder).slice(0, limit));
    },
  };
}

function inOrder(left: AnomalyCursor, right: AnomalyCursor): number {
  if (left.openedAt !== right.openedAt) return right.openedAt - left.openedAt;
  return left.id < right.id ? -1 : left.id > right.id ? 1 : 0;
}
