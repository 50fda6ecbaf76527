import { sha256Hex } from "../lib/canonical.ts";
import { tell } from "./last-words.ts";
import { newestValues } from "./score.ts";
import { targetOf, type Series } from "./series.ts";
import { sparkline } from "./sparkline.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { CloseCause, OpenEpisode } from "./types/episode.ts";
import type { MetricQuery } from "./types/source.ts";

const SPARKLINE_POINTS = 40;

/** An open episode of a series as the record that people, the database and the webhook get. */
export function recordAnomaly(
  metric: MetricQuery,
  series: Series,
  episode: OpenEpisode,
  modelSha256: string | undefined,
): Anomaly {
  const newest = series.last === undefined ? episode.opening : tell(series.last);
  // An absent series has no newest value to compare: its own last words stand.
  const evidence = episode.naming.reason === "absent" ? episode.opening : newest;
  return {
    id: anomalyId(metric.name, series.id, episode.openedAt),
    metric: metric.name,
    expr: metric.expr,
    series: series.id,
    labels: series.labels,
    ...targetOf(series.labels),
    reason: episode.naming.reason,
    direction: episode.naming.direction,
    severity: "warning",
    openedAt: episode.openedAt,
    lastSeenAt: episode.lastSeenAt,
    closedAt: undefined,
    closeCause: undefined,
    score: episode.peak,
    value: evidence.value,
    baseline: episode.opening.baseline,
    delta: evidence.value - episode.opening.baseline,
    percentChange: percent(evidence.value, episode.opening.baseline),
    zscores: episode.opening.zscores,
    sparkline: sparkline(newestValues(series.state, SPARKLINE_POINTS)),
    modelSha256,
    step: undefined,
    historyFrom: series.bornAt,
    evidence: episode,
  };
}

export function closeAnomaly(anomaly: Anomaly, closedAt: number, closeCause: CloseCause): Anomaly {
  return { ...anomaly, closedAt, closeCause };
}

/** The same episode has the same id wherever and however often it is recorded. */
function anomalyId(metric: string, series: string, openedAt: number): string {
  return `anomaly_${sha256Hex(`${metric}\n${series}\n${openedAt}`).slice(0, 24)}`;
}

function percent(value: number, baseline: number): number | undefined {
  return baseline === 0 ? undefined : (100 * (value - baseline)) / Math.abs(baseline);
}
