/** AIOPS_SCORE_THRESH may be from 0.05 to 1; a hundredth is more than labels can tell apart. */
const CANDIDATES: readonly number[] = Array.from({ length: 96 }, (_, at) => (5 + at) / 100);

/** What is tried: every hundredth, and the threshold in use, which need not be one. */
export function candidatesBeside(current: number): readonly number[] {
  return [...new Set([...CANDIDATES, current])].toSorted((one, other) => one - other);
}

/** A labelled anomaly, and the thresholds at which it would have been raised. */
export interface Trial {
  readonly label: "real" | "false_positive";
  readonly raisedAt: ReadonlySet<number>;
}

/**
 * The threshold that labels speak for, in this order: it raises the most real anomalies; of those, the fewest false ones;
 * of those, it is nearest to the one in use (the lower of two). So a real incident is never given up for quiet, and
 * nothing moves further than the labels say.
 */
export function chooseThreshold(trials: readonly Trial[], current: number): number {
  const count = (label: Trial["label"], threshold: number): number =>
    trials.filter((trial) => trial.label === label && trial.raisedAt.has(threshold)).length;
  const judged = candidatesBeside(current).map((threshold) => ({
    threshold,
    real: count("real", threshold),
    wrong: count("false_positive", threshold),
    distance: Math.abs(threshold - current),
  }));
  const [best] = judged.toSorted(
    (one, other) =>
      other.real - one.real || one.wrong - other.wrong || one.distance - other.distance,
  );
  return best?.threshold ?? current;
}
