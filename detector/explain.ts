import { changeIn } from "./course.ts";
import type { Direction, Naming, NamingRules, Reason } from "./types/episode.ts";
import type { Band, PointScore, StreamName } from "./types/scoring.ts";

/** A jump has its name after the third point; one that went back at once is watched for one point more. */
const JUMP_POINTS = 3;
const SPIKE_POINTS = 4;
/**
 * Where each point follows the one before (a rate over five minutes), three of them agree by themselves: a small jump
 * has its name after the eighth.
 */
export const NAMING_POINTS = 8;
/**
 * A lone point less than so many usual spreads away is no news even where it is the furthest so far: normal noise reaches
 * 4.5 in a month of minutes (8 series of 33 days: 7 such alerts with 0, none with 5), and never 6.
 */
const LONE_SPIKE_SPREADS = 8;
/** No change at all seems likelier by 10 in one of 2,000 courses of noise. */
const RAMP_EVIDENCE = 12;
const SMOOTH_JUMP = 15;
/** Share of the scatter that is left between neighbours: 1 for independent points, 0.45 for a mean of five. */
const SMOOTH_SHARE = 0.6;
/** Points of a shift lie this close together; of a tenfold noise, two do in 4 % and three in 3 % of the cases. */
const PAIR_SCATTER = 0.1;
const TRIPLE_SCATTER = 0.4;
/**
 * Names what began at `opening`, from the values since then (the opening one first). A drop to zero and a
 * drift are named at once; a jump needs the next one or two points, which tell a shift (they agree on the
 * new place), a volatility spike (they do not) and a lone spike (they are back) apart.
 */
export function explain(
  opening: PointScore,
  values: readonly number[],
  rules: NamingRules,
): Naming {
  if (isDropToZero(opening) || cameToZero(opening, values)) return named("drop_to_zero", "down");
  const { centre, noise } = opening.local;
  const limit = rules.zThreshold * noise;
  if (isDrift(opening) || Math.abs(opening.value - centre) <= limit) {
    return nameDrift(opening, values);
  }
  if (isSmooth(opening) && jumpOf(opening) <= SMOOTH_JUMP) {
    return nameSmoothJump(opening, values, limit, rules);
  }
  return nameRamp(opening, rules) ?? nameJump(opening, values.slice(0, SPIKE_POINTS), limit, rules);
}

function named(reason: Reason, direction: Direction): Naming {
  return { reason, direction, final: true, minor: false };
}

/** Exactly 0 where 0 was not seen before: a dead exporter or a stopped service, not a low value. */
function isDropToZero({ value, weights, local }: PointScore): boolean {
  return value === 0 && local.centre !== 0 && weights.value > 0;
}

/** A mean over some minutes comes down to 0 step by step. */
function cameToZero({ value, bands }: PointScore, values: readonly number[]): boolean {
  return value > 0 && (bands.value?.low ?? 0) > 0 && values.at(-1) === 0;
}

/** In usual spreads. */
function jumpOf({ value, local }: PointScore): number {
  return Math.abs(value - local.centre) / local.noise;
}

/** What is new only against the settled past, or by its ranks, came in small steps: there is no jump to look at. */
export function isDrift({ novelty, ranked }: PointScore): boolean {
  return novelty === "lasting" || ranked;
}

function isSmooth({ course }: PointScore): boolean {
  const before = course.slice(0, -1);
  const steps = before.slice(1).map((y, index) => y - (before[index] ?? y));
  return deviation(steps) < SMOOTH_SHARE * Math.SQRT2 * deviation(before);
}

/** A ramp may leave its past by a jump that is hardly one; the points before it say so. */
function nameRamp(opening: PointScore, rules: NamingRules): Naming | undefined {
  if (jumpOf(opening) > 2 * rules.zThreshold) return undefined;
  const change = changeIn(opening.course.slice(0, -1));
  const direction = opening.value > opening.local.centre ? "up" : "down";
  const isRamp = change?.kind === "ramp" && change.direction === direction;
  return isRamp && change.evidence > RAMP_EVIDENCE ? named("trend_break", direction) : undefined;
}

function nameSmoothJump(
  opening: PointScore,
  values: readonly number[],
  limit: number,
  rules: NamingRules,
): Naming {
  const jumps = values.slice(0, NAMING_POINTS).map((value) => value - opening.local.centre);
  const first = jumps[0] ?? 0;
  if (jumps.length < NAMING_POINTS) return spike(opening, first, { final: false, rules });
  const later = jumps.slice(JUMP_POINTS);
  if (later.every((jump) => Math.abs(jump) <= limit))
    return spike(opening, first, { final: true, rules });
  const stayed = later.every((jump) => jump * first > 0 && Math.abs(jump) > limit);
  return stayed && (isLeaving(jumps) || scatter(later) <= TRIPLE_SCATTER)
    ? named("level_shift", first > 0 ? "up" : "down")
    : named("volatility_spike", "up");
}

function nameJump(
  opening: PointScore,
  values: readonly number[],
  limit: number,
  rules: NamingRules,
): Naming {
  const { centre, noise } = opening.local;
  const jumps = values.map((value) => value - centre);
  const first = jumps[0] ?? 0;
  const direction = first > 0 ? "up" : "down";
  const away = jumps.map((jump) => Math.abs(jump) > limit);
  const onSide = jumps.every((jump, index) => away[index] === true && jump * first > 0);

  if (jumps.length >= 2 && onSide && scatter(jumps) <= PAIR_SCATTER)
    return named("level_shift", direction);
  if (jumps.length < JUMP_POINTS) return spike(opening, first, { final: false, rules });
  if (!away.slice(1).includes(true)) {
    return spike(opening, first, { final: jumps.length >= SPIKE_POINTS, rules });
  }
  const settled =
    isLeaving(jumps) ||
    scatter(jumps) <= TRIPLE_SCATTER ||
    deviation(jumps) < rules.volatilityMultiple * noise;
  return onSide && settled ? named("level_shift", direction) : named("volatility_spike", "up");
}

function spike(
  { local }: PointScore,
  jump: number,
  { final, rules }: { readonly final: boolean; readonly rules: NamingRules },
): Naming {
  const percent = local.centre === 0 ? Infinity : Math.abs((100 * jump) / local.centre);
  return {
    reason: "percent_change",
    direction: jump > 0 ? "up" : "down",
    final,
    minor: percent < rules.percentThreshold || Math.abs(jump) < LONE_SPIKE_SPREADS * local.noise,
  };
}

/** How far apart the points are, against how far out the nearest of them is. */
function scatter(jumps: readonly number[]): number {
  const sizes = jumps.map(Math.abs);
  return (Math.max(...sizes) - Math.min(...sizes)) / Math.min(...sizes);
}

/** True for a rate that ramps up over its range: each point further out than the one before. */
function isLeaving(jumps: readonly number[]): boolean {
  return jumps.every(
    (jump, index) => index === 0 || Math.abs(jump) > Math.abs(jumps[index - 1] ?? 0),
  );
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

const DRIFT_REASONS = {
  step: "level_shift",
  ramp: "trend_break",
  scatter: "volatility_spike",
} as const satisfies Record<string, Reason>;

/** No single point stands out: the course of the last hour of points says what changed. */
function nameDrift(opening: PointScore, values: readonly number[]): Naming {
  const leading = leadingStream(opening);
  if (leading === "ratio") return nameRatio(opening, values);
  const change = changeIn(opening.course);
  return change === undefined
    ? named("level_shift", directionOf(opening, leading))
    : named(DRIFT_REASONS[change.kind], change.direction);
}

/** A change in percent that is lost in the scatter of the last hour: the next points say whether it lasts. */
function nameRatio(opening: PointScore, values: readonly number[]): Naming {
  const { value, baseline } = opening;
  const stayed = values.every((later) => Math.abs(later - value) < Math.abs(later - baseline));
  return {
    ...named(stayed ? "level_shift" : "percent_change", directionOf(opening, "ratio")),
    final: values.length >= SPIKE_POINTS,
  };
}

/** The stream with the largest weighted novelty; not clipped, so that saturated streams still have an order. */
export function leadingStream(score: Pick<PointScore, "weights">): StreamName {
  return heaviest(Object.keys(score.weights) as StreamName[], score);
}

/** The one of some streams with the largest weighted novelty, the first of equals; the value if there are none. */
export function heaviest(
  [first = "value", ...others]: readonly StreamName[],
  { weights }: Pick<PointScore, "weights">,
): StreamName {
  return others.reduce((best, next) => (weights[next] > weights[best] ? next : best), first);
}

function directionOf({ streams, bands }: PointScore, stream: StreamName): Direction {
  const band = bands[stream];
  const middle = band === undefined ? 0 : (band.low + band.high) / 2;
  return (streams[stream] ?? 0) >= middle ? "up" : "down";
}

/** Whether `value` lies outside of the band. */
export function isOutside(value: number, { low, high }: Band): boolean {
  return value < low || value > high;
}
