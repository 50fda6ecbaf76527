import type { Anomaly } from "../../detector/main.ts";

/** What the detector tells while it works. */
export interface AnomalyWatch {
  readonly onAnomaly: (anomaly: Anomaly) => void;
  readonly onProgress: (progress: {
    readonly metric: string;
    readonly done: number;
    readonly total: number;
  }) => void;
  readonly published: readonly Anomaly[];
  readonly backfilled: ReadonlyMap<string, number>;
}

export function watchAnomalies(): AnomalyWatch {
  const published: Anomaly[] = [];
  const backfilled = new Map<string, number>();
  return {
    published,
    backfilled,
    onAnomaly: (anomaly) => {
      if (anomaly.closedAt === undefined) published.push(anomaly);
    },
    onProgress: ({ metric, done }) => {
      backfilled.set(metric, done);
    },
  };
}
