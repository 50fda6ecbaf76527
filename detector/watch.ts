import type { Band, PointScore, Reason, StreamName, Watch } from "./types.ts";

/** Streams that can carry on an incident whose value is back in the global band, best witness first. */
const WITNESSES: Readonly<Record<Reason, readonly StreamName[]>> = {
  level_shift: ["value", "shift", "level"],
  volatility_spike: ["spread", "value"],
  trend_break: ["value", "trend", "shift"],
  percent_change: ["value"],
  drop_to_zero: ["value"],
  absent: ["value"],
};

/** Reasons that a jump of the value itself can have. */
const JUMPS: ReadonlySet<Reason> = new Set(["level_shift", "percent_change", "drop_to_zero"]);

/**
 * What an open episode looks at to know whether the incident lasts. A jump lasts while the value stays on the
 * far side of half the jump: on a seasonal series that is inside the global band. Anything else is followed by
 * the first witness of its reason that is outside its band at the opening.
 */
export function chooseWatch(opening: PointScore, reason: Reason, zThreshold: number): Watch {
  const jump = Math.abs(opening.value - opening.local.centre);
  if (JUMPS.has(reason) && jump > zThreshold * opening.local.noise) {
    return { stream: "value", band: halfWayBand(opening) };
  }
  for (const stream of WITNESSES[reason]) {
    const band = opening.bands[stream];
    const value = opening.streams[stream];
    if (band === undefined || value === undefined) continue;
    if (stream === "spread" || value < band.low || value > band.high) return { stream, band };
  }
  return { stream: "value", band: halfWayBand(opening) };
}

function halfWayBand({ value, local }: PointScore): Band {
  const middle = (value + local.centre) / 2;
  return value > local.centre
    ? { low: -Number.MAX_VALUE, high: middle }
    : { low: middle, high: Number.MAX_VALUE };
}
