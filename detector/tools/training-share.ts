import { sha256Hex } from "../../lib/canonical.ts";
import type { MetricQuery, StepRange } from "../types/source.ts";

/** Points that training keeps in memory (about 80 bytes each): a hundred series of two weeks of minutes. */
const TRAINING_POINTS_MAX = 2_100_000;
/** As many as the models are compared on. */
const TRAINING_SERIES_MAX = 100;

/** What training reads of the past. */
export interface TrainingShare {
  readonly metrics: readonly MetricQuery[];
  /** Series of each metric. */
  readonly seriesMax: number;
}

/**
 * Each metric has an equal share of what training can hold. Where there are more metrics than series that fit, as many as
 * fit have one series each; which ones changes from day to day, so that in time every metric is learned from. The same
 * range gives the same choice.
 */
export function trainingShare(
  metrics: readonly MetricQuery[],
  { from, to, step }: StepRange,
): TrainingShare {
  const steps = Math.max(1, (to - from) / step);
  const room = Math.min(TRAINING_SERIES_MAX, Math.floor(TRAINING_POINTS_MAX / steps));
  const seriesAtAll = Math.max(1, room);
  if (metrics.length <= seriesAtAll) {
    return { metrics, seriesMax: Math.floor(seriesAtAll / Math.max(1, metrics.length)) };
  }
  const day = new Date(to).toISOString().slice(0, 10);
  const drawn = metrics
    .map((metric) => ({ metric, lot: sha256Hex(`${day}\n${metric.name}`) }))
    .sort((one, other) => (one.lot < other.lot ? -1 : 1));
  return { metrics: drawn.slice(0, seriesAtAll).map(({ metric }) => metric), seriesMax: 1 };
}
