import { heaviest, isDrift, isOutside } from "./explain.ts";
import type { Direction, Reason, Watch } from "./types/episode.ts";
import type { Band, PointScore, StreamName } from "./types/scoring.ts";

/** Streams that can carry on an incident whose value is back in the global band, best witness first. */
const WITNESSES: Readonly<Record<Reason, readonly StreamName[]>> = {
  level_shift: ["value", "residual", "shift", "level", "residual_shift", "residual_level"],
  volatility_spike: ["residual_spread", "spread", "value"],
  trend_break: ["value", "residual", "residual_trend", "trend", "shift"],
  percent_change: ["value"],
  drop_to_zero: ["value"],
  absent: ["value"],
};

/** Noise is followed by its spread from the first point on, before the spread has left its band. */
export function isSpread(stream: StreamName): boolean {
  return stream === "spread" || stream === "residual_spread";
}

const DRIFTS: ReadonlySet<Reason> = new Set(["level_shift", "trend_break"]);

/** Reasons that a jump of the value itself can have. */
const JUMPS: ReadonlySet<Reason> = new Set(["level_shift", "percent_change", "drop_to_zero"]);

/**
 * What an open episode looks at to know whether the incident lasts. A jump lasts while the value stays on the
 * far side of half the jump: on a seasonal series that is inside the global band. A slow change lasts while the level,
 * the spread, or a stream of ranks stays on the far side of half its way. Anything else is followed by the first witness of its reason
 * that is outside its band at the opening.
 */
export function chooseWatch(opening: PointScore, reason: Reason, zThreshold: number): Watch {
  if (isDrift(opening)) {
    return driftWatch(opening, reason) ?? firstWitness(opening, reason) ?? halfWayWatch(opening);
  }
  const jump = Math.abs(opening.value - opening.local.centre);
  if (JUMPS.has(reason) && jump > zThreshold * opening.local.noise) return halfWayWatch(opening);
  return firstWitness(opening, reason) ?? halfWayWatch(opening);
}

function firstWitness(opening: PointScore, reason: Reason): Watch | undefined {
  for (const stream of WITNESSES[reason]) {
    const band = opening.bands[stream];
    const value = opening.streams[stream];
    if (band === undefined || value === undefined || !counts(stream, opening)) continue;
    if (isSpread(stream) || isOutside(value, band)) return { stream, band };
  }
  return undefined;
}

/** A residual is no witness where the days are not alike. */
function counts(stream: StreamName, { seasonal }: PointScore): boolean {
  return seasonal !== undefined || !stream.startsWith("residual");
}

/** A season goes on while an incident lasts; where there is one, the jump is followed as a residual. */
function halfWayWatch({ value, local, seasonal }: PointScore): Watch {
  const middle = (value + local.centre) / 2 - (seasonal ?? 0);
  return {
    stream: seasonal === undefined ? "value" : "residual",
    band: beyond(middle, value > local.centre ? "up" : "down"),
  };
}

/** Half-way between what was usual and what the level, or the spread, is now. */
function driftWatch(opening: PointScore, reason: Reason): Watch | undefined {
  const { seasonal, baseline, local, ranked } = opening;
  // Once the season is taken off, means are steady enough, and come back sooner than ranks.
  if (ranked && seasonal === undefined) return rankWatch(opening, reason);
  if (reason === "volatility_spike") {
    return halfWayFrom(local.noise, seasonal === undefined ? "spread" : "residual_spread", opening);
  }
  if (!DRIFTS.has(reason)) return undefined;
  return seasonal === undefined
    ? halfWayFrom(baseline, "level", opening)
    : halfWayFrom(0, "residual_level", opening);
}

function halfWayFrom(
  usual: number,
  stream: StreamName,
  { streams }: PointScore,
): Watch | undefined {
  const now = streams[stream];
  if (now === undefined || now === usual) return undefined;
  return { stream, band: beyond((usual + now) / 2, now > usual ? "up" : "down") };
}

const RANK_WITNESSES: Readonly<Record<"scatter" | "move", readonly StreamName[]>> = {
  scatter: ["rank_spread", "rank_spread_long"],
  move: ["rank_mean", "rank_mean_long", "rank_low", "rank_high"],
};

/** What was found by its ranks is followed by them: means of the values go where bursts go. */
function rankWatch(opening: PointScore, reason: Reason): Watch | undefined {
  const witnesses = RANK_WITNESSES[reason === "volatility_spike" ? "scatter" : "move"];
  const stream = heaviest(witnesses, opening);
  const band = opening.bands[stream];
  return band && halfWayFrom((band.low + band.high) / 2, stream, opening);
}

/** The band of all that is not beyond `limit`. */
function beyond(limit: number, direction: Direction): Band {
  return direction === "up"
    ? { low: -Number.MAX_VALUE, high: limit }
    : { low: limit, high: Number.MAX_VALUE };
}
