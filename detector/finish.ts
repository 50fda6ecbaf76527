import type { Notice } from "./evaluate.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { WatchedMetric } from "./watched-metric.ts";

export interface FinishDeps {
  /** Time between points in milliseconds. */
  readonly step: number;
  /** Score from which an anomaly is worth waking somebody (AIOPS_PAGE_THRESH). */
  readonly pageThreshold: number;
  /** Says which of the anomalies' targets were down at the given time; of what it cannot ask it says nothing. */
  readonly downTargets: (at: number) => Promise<(anomaly: Anomaly) => boolean>;
}

/**
 * Decides once, when an anomaly is published, what is frozen from then on: how urgent it is, and whether a series is
 * missing because its target is down. The series keeps the finished record, so that its end is told in the same words.
 */
export async function finishNotices(
  metric: WatchedMetric,
  notices: readonly Notice[],
  deps: FinishDeps,
): Promise<readonly Notice[]> {
  const vanished = notices.find(({ kind, anomaly }) => kind === "published" && isAbsent(anomaly));
  // One question for all: when a host dies, hundreds of series vanish in the same step.
  const isDown = vanished && (await deps.downTargets(vanished.anomaly.openedAt));
  const finished = new Map<string, Anomaly>();
  return notices.map(({ kind, anomaly }) => {
    const known = finished.get(anomaly.id);
    if (kind === "closed") {
      if (known === undefined) return { kind, anomaly };
      const { closedAt, closeCause } = anomaly;
      return { kind, anomaly: { ...known, closedAt, closeCause } };
    }
    const final = finish(anomaly, isDown ?? (() => false), deps);
    finished.set(final.id, final);
    const series = metric.series.get(final.series);
    if (series?.anomaly?.id === final.id) series.anomaly = { ...final, memory: undefined };
    return { kind, anomaly: final };
  });
}

function finish(
  anomaly: Anomaly,
  isDown: (anomaly: Anomaly) => boolean,
  { step, pageThreshold }: FinishDeps,
): Anomaly {
  const stale = isAbsent(anomaly) && isDown(anomaly);
  return {
    ...anomaly,
    step,
    severity: anomaly.score >= pageThreshold ? "critical" : "warning",
    reason: stale ? "stale_scrape" : anomaly.reason,
  };
}

function isAbsent({ reason }: Anomaly): boolean {
  return reason === "absent";
}
