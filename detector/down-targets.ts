import type { Log } from "../lib/log.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Labels, MetricSource } from "./types/source.ts";

/** Prometheus writes `up` itself, 0 for a scrape that failed; only targets that are down come back. */
const DOWN_TARGETS = "up == 0";
/** An alert waits for this answer, so it is shorter than a query of the cycle. */
const TIMEOUT_MS = 5_000;

export interface DownTargetsDeps {
  readonly source: MetricSource;
  readonly step: number;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * Which targets were down at a time, as a test of an anomaly's labels. A series without the labels `job` and `instance`
 * belongs to no single target. When Prometheus does not answer, no target is said to be down: the reason stays `absent`.
 */
export async function askDownTargets(
  at: number,
  { source, step, signal, log }: DownTargetsDeps,
): Promise<(anomaly: Pick<Anomaly, "labels">) => boolean> {
  const down = new Set<string>();
  try {
    const both = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const answer = await source.query(DOWN_TARGETS, { from: at, to: at, step }, both);
    for (const { labels } of answer) {
      const target = targetKey(labels);
      if (target !== undefined) down.add(target);
    }
  } catch (error) {
    log.warn("targets not asked for, a missing series is called absent", { error });
  }
  return ({ labels }) => {
    const target = targetKey(labels);
    return target !== undefined && down.has(target);
  };
}

function targetKey({ job, instance }: Labels): string | undefined {
  if (job === undefined || instance === undefined) return undefined;
  return JSON.stringify([job, instance]);
}
