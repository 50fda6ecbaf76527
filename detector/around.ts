import { seriesId } from "./series.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Point } from "./types/scoring.ts";
import type { MetricSource, StepRange } from "./types/source.ts";

/** Points shown before the opening, and at most after it. */
const BEFORE_POINTS = 120;
const AFTER_POINTS_MIN = 30;
const AFTER_POINTS_MAX = 240;
/** A page is not kept waiting longer than this for its chart. */
const TIMEOUT_MS = 5_000;

export type Around =
  | { readonly kind: "points"; readonly points: readonly Point[] }
  | { readonly kind: "unknown"; readonly why: string };

export interface AroundDeps {
  readonly source: MetricSource;
  /** The configured step, for anomalies that do not say their own. */
  readonly step: number;
  readonly now: () => Date;
}

/** The series' samples around an opening, asked from Prometheus. A failure is a sentence for the reader. */
export async function samplesAround(
  anomaly: Anomaly,
  { source, step: configured, now }: AroundDeps,
): Promise<Around> {
  const step = anomaly.step ?? configured;
  const range = rangeAround(anomaly, step, now().getTime());
  try {
    const answer = await source.query(anomaly.expr, range, AbortSignal.timeout(TIMEOUT_MS));
    const found = answer.find(({ labels }) => seriesId(labels) === anomaly.series);
    return found === undefined
      ? { kind: "unknown", why: "Prometheus no longer has this series at that time." }
      : { kind: "points", points: found.points };
  } catch {
    return { kind: "unknown", why: "Prometheus does not answer now." };
  }
}

function rangeAround(anomaly: Anomaly, step: number, now: number): StepRange {
  const { openedAt } = anomaly;
  const end = anomaly.closedAt ?? anomaly.lastSeenAt;
  const after = Math.min(
    AFTER_POINTS_MAX,
    Math.max(AFTER_POINTS_MIN, Math.ceil((end - openedAt) / step) + AFTER_POINTS_MIN),
  );
  const newest = Math.floor((now - openedAt) / step);
  return {
    from: openedAt - BEFORE_POINTS * step,
    to: openedAt + Math.max(0, Math.min(after, newest)) * step,
    step,
  };
}
