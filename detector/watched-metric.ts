import type { QueryError } from "./faults.ts";
import { Memories } from "./memories.ts";
import { createSeries, seriesId, type Series } from "./series.ts";
import type { Labels, MetricQuery } from "./types/source.ts";
import type { Resume } from "./types/store.ts";

/** One configured metric in memory: its series, and how far they have been evaluated. */
export interface WatchedMetric {
  readonly query: MetricQuery;
  readonly series: Map<string, Series>;
  /** The last step that was answered and evaluated. */
  evaluatedUntil: number;
  /** Steps up to this one teach, but raise nothing: they are older than our watch. */
  silentUntil: number;
  /** When our watch began: what was gone before is not missed. */
  readonly watchedSince: number;
  fault: QueryError | undefined;
  capReported: boolean;
  readonly memories: Memories;
  /** Who watches it, where it is not this replica. */
  readonly watcher?: "another" | "nobody";
}

/** How many series all metrics may have together. */
export interface SeriesBudget {
  readonly max: number;
  used: number;
}

/** What a metric needs at start: where its past begins, and from where on it is on watch. */
export interface WatchPlan {
  readonly resume: Resume;
  readonly now: number;
  readonly step: number;
  readonly backfillPoints: number;
}

/** Steps in the past that still raise alerts when nobody evaluated them before. */
const FRESH_STEPS = 3;
/** After a longer outage only this much is made up for with alerts (an hour of minutes). */
export const CATCH_UP_STEPS_MAX = 60;

/**
 * Begins to watch a metric. Its past is evaluated in silence up to where an earlier process got to or, on a first
 * start, up to three steps ago. Episodes that are still open go on: their points are simply seen again.
 */
export function watchMetric(
  query: MetricQuery,
  { resume, now, step, backfillPoints }: WatchPlan,
  budget: SeriesBudget,
): WatchedMetric {
  const oldestAlert = now - CATCH_UP_STEPS_MAX * step;
  const known = resume.evaluatedUntil ?? now - FRESH_STEPS * step;
  const silentUntil = Math.min(now, Math.max(oldestAlert, Math.floor(known / step) * step));
  const metric: WatchedMetric = {
    query,
    series: new Map(),
    evaluatedUntil: Math.min(silentUntil, now - backfillPoints * step),
    silentUntil,
    watchedSince: silentUntil,
    fault: undefined,
    capReported: false,
    memories: new Memories(),
  };
  for (const anomaly of resume.open) {
    const series = admitSeries(metric, anomaly.labels, anomaly.openedAt, budget);
    if (series === undefined) continue;
    series.episode = anomaly.evidence;
    series.anomaly = anomaly;
  }
  return metric;
}

/** The series with these labels, made if there is room for it; undefined when the cap is reached. */
export function admitSeries(
  metric: WatchedMetric,
  labels: Labels,
  bornAt: number,
  budget: SeriesBudget,
): Series | undefined {
  const id = seriesId(labels);
  const known = metric.series.get(id);
  if (known !== undefined) return known;
  if (budget.used >= budget.max) return undefined;
  budget.used += 1;
  const fresh = createSeries(labels, bornAt);
  metric.series.set(id, fresh);
  return fresh;
}

export function dropSeries(metric: WatchedMetric, series: Series, budget: SeriesBudget): void {
  if (metric.series.delete(series.id)) budget.used -= 1;
}
