import type { Log } from "../lib/log.ts";
import { newestStep } from "./cycle.ts";
import type { AnomalyStore, MetricQuery, Resume } from "./types.ts";
import { watchMetric, type SeriesBudget, type WatchedMetric } from "./watched-metric.ts";

export interface WatchAllDeps {
  readonly store: Pick<AnomalyStore, "resume"> | undefined;
  readonly log: Log;
  readonly now: Date;
  readonly step: number;
  readonly backfillPoints: number;
  readonly budget: SeriesBudget;
}

/** Begins to watch every configured metric, where an earlier process left off if the database knows. */
export async function watchAll(
  metrics: readonly MetricQuery[],
  deps: WatchAllDeps,
): Promise<readonly WatchedMetric[]> {
  const now = newestStep(deps.now, deps.step);
  const watched: WatchedMetric[] = [];
  for (const metric of metrics) {
    const resume = await resumeOf(metric, deps);
    watched.push(watchMetric(metric, { ...deps, resume, now }, deps.budget));
  }
  return watched;
}

async function resumeOf(metric: MetricQuery, { store, log }: WatchAllDeps): Promise<Resume> {
  const nothing: Resume = { evaluatedUntil: undefined, open: [] };
  if (store === undefined) return nothing;
  try {
    return await store.resume(metric);
  } catch (error) {
    // Scoring does not wait for the database; its unique index still keeps a second row from being opened.
    log.warn("open anomalies not restored", { metric: metric.name, error });
    return nothing;
  }
}
