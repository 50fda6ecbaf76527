import type {
  Band,
  BaseStream,
  Direction,
  Naming,
  NamingRules,
  PointScore,
  Reason,
  StreamName,
} from "./types.ts";

/** A jump has its name after the third point; one that went back at once is watched for one point more. */
const JUMP_POINTS = 3;
export const NAMING_POINTS = 4;
/** Points of a shift lie this close together; of a tenfold noise, two do in 4 % and three in 3 % of the cases. */
const PAIR_SCATTER = 0.1;
const TRIPLE_SCATTER = 0.4;
/** Variance of 48 points on a line of slope 1: what a trend alone adds to the spread. */
const TREND_VARIANCE = (48 ** 2 - 1) / 12;

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
  if (isDropToZero(opening)) return named("drop_to_zero", "down");
  const { centre, noise } = opening.local;
  const limit = rules.zThreshold * noise;
  // What is new only against the settled past came in small steps: there is no jump to look at.
  if (opening.novelty === "lasting") return nameDrift(opening, values.length, rules);
  if (Math.abs(opening.value - centre) <= limit) return nameDrift(opening, values.length, rules);
  return nameJump(opening, values.slice(0, NAMING_POINTS), limit, rules);
}

function named(reason: Reason, direction: Direction): Naming {
  return { reason, direction, final: true, minor: false };
}

/** Exactly 0 where 0 was not seen before: a dead exporter or a stopped service, not a low value. */
function isDropToZero({ value, weights, local }: PointScore): boolean {
  return value === 0 && local.centre !== 0 && weights.value > 0;
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
    return spike(opening, first, { final: jumps.length >= NAMING_POINTS, rules });
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
    minor: percent < rules.percentThreshold,
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

/** No single point stands out: the stream that moved furthest out of its past names the change. */
function nameDrift(opening: PointScore, points: number, rules: NamingRules): Naming {
  const leading = leadingStream(opening);
  const direction = directionOf(opening, leading);
  switch (baseOf(leading)) {
    case "spread":
      return isScattered(opening, rules)
        ? named("volatility_spike", direction)
        : nameSlope(opening);
    case "value":
      return nameSlope(opening);
    case "trend":
      return named("trend_break", direction);
    case "level":
    case "shift":
      return named("level_shift", direction);
    case "ratio":
      return { ...named("percent_change", direction), final: points >= NAMING_POINTS };
  }
}

/** What a stream tells does not depend on whether the season was taken off. */
function baseOf(stream: StreamName): BaseStream {
  return stream === "residual" ? "value" : (stream.replace("residual_", "") as BaseStream);
}

/** The stream with the largest weighted novelty; not clipped, so that saturated streams still have an order. */
export function leadingStream({ weights }: Pick<PointScore, "weights">): StreamName {
  let leading: StreamName = "value";
  for (const stream of Object.keys(weights) as StreamName[]) {
    if (weights[stream] > weights[leading]) leading = stream;
  }
  return leading;
}

/** Whether the spread grew beyond what the slope explains: a ramp widens the spread too. */
function isScattered(opening: PointScore, rules: NamingRules): boolean {
  const { streams, local, seasonal } = opening;
  const [spread, trend] =
    seasonal === undefined
      ? [streams.spread, streams.trend]
      : [streams.residual_spread, streams.residual_trend];
  const scatter = Math.sqrt(Math.max(0, (spread ?? 0) ** 2 - TREND_VARIANCE * (trend ?? 0) ** 2));
  return scatter >= rules.volatilityMultiple * local.noise || scatter < local.noise / 2;
}

function nameSlope(opening: PointScore): Naming {
  const { weights, seasonal } = opening;
  const [trend, level, shift] =
    seasonal === undefined
      ? (["trend", "level", "shift"] as const)
      : (["residual_trend", "residual_level", "residual_shift"] as const);
  return weights[trend] >= Math.max(weights[level], weights[shift])
    ? named("trend_break", directionOf(opening, trend))
    : named("level_shift", directionOf(opening, shift));
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
