/** The newest values that a slow change is named from. */
export const COURSE_POINTS = 60;

/** Points on either side of a change that are needed to judge it. */
const SIDE_POINTS = 6;
/** A change of the mean must explain this much more (natural logarithm of the likelihood) than a change of the scatter. */
const EVIDENCE = 3;
/** A mean that moved by less of the scatter before is none that people would see. */
const RISE_IN_DEVIATIONS = 0.3;
/** No side is quieter than this share of the whole variance: a constant would explain everything. */
const QUIETEST = 1e-3;

/** What happened in a course. */
export interface Change {
  readonly kind: "step" | "ramp" | "scatter";
  readonly direction: "up" | "down";
  /** How much more likely it makes the course than no change does; a natural logarithm. */
  readonly evidence: number;
}

interface Fit {
  readonly likelihood: number;
  /** Of the mean, of the slope, or of the variance. */
  readonly rise: number;
  /** How far the mean came, in deviations from before. */
  readonly deviations: number;
}

/**
 * Says whether a series stepped, began to rise or fall, or only began to scatter otherwise: the one of three models
 * with a change at an unknown point, normal noise before and after it, that makes the course most likely (a change-point
 * analysis as by Chen and Gupta, Parametric Statistical Change Point Analysis, 2000). Undefined for a short or constant
 * course.
 */
export function changeIn(course: readonly number[]): Change | undefined {
  const last = course.length - SIDE_POINTS;
  const variance = varianceAround(course, meanOf(course));
  const quietest = QUIETEST * variance;
  if (last < SIDE_POINTS || !(quietest > 0)) return undefined;
  const unchanged = -0.5 * course.length * Math.log(variance);
  let step: Fit = { likelihood: -Infinity, rise: 0, deviations: 0 };
  let ramp = step;
  let scatter = step;
  for (let from = SIDE_POINTS; from <= last; from += 1) {
    const before = course.slice(0, from);
    const centre = meanOf(before);
    const rests = course.slice(from).map((y) => y - centre);
    const scatterBefore = Math.max(quietest, varianceAround(before, centre));
    const fit = (remaining: readonly number[], rise: number, moved: number): Fit => ({
      likelihood:
        -0.5 *
        (from * Math.log(scatterBefore) +
          remaining.length * Math.log(Math.max(quietest, varianceAround(remaining, 0)))),
      rise,
      deviations: Math.abs(moved) / Math.sqrt(scatterBefore),
    });
    const rise = meanOf(rests);
    const slope = slopeOf(rests);
    const stepped = rests.map((y) => y - rise);
    const ramped = rests.map((y, index) => y - slope * (index + 1));
    step = better(step, fit(stepped, rise, rise));
    ramp = better(ramp, fit(ramped, slope, slope * rests.length));
    scatter = better(scatter, fit(rests, varianceAround(rests, 0) - scatterBefore, 0));
  }
  const moved = step.likelihood >= ramp.likelihood ? step : ramp;
  const isMove =
    moved.deviations >= RISE_IN_DEVIATIONS && moved.likelihood >= scatter.likelihood + EVIDENCE;
  const fit = isMove ? moved : scatter;
  return {
    kind: !isMove ? "scatter" : moved === step ? "step" : "ramp",
    direction: fit.rise >= 0 ? "up" : "down",
    evidence: fit.likelihood - unchanged,
  };
}

function better(best: Fit, next: Fit): Fit {
  return next.likelihood > best.likelihood ? next : best;
}

/** Least squares through 0 at the point before the first. */
function slopeOf(values: readonly number[]): number {
  let product = 0;
  let squares = 0;
  for (const [index, value] of values.entries()) {
    product += (index + 1) * value;
    squares += (index + 1) ** 2;
  }
  return product / squares;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function varianceAround(values: readonly number[], centre: number): number {
  return values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / values.length;
}
