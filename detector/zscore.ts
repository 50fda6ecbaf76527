import type { Arena } from "./arena.ts";
import type { PastWindow } from "./past-window.ts";
import { SketchWindow } from "./sketch-window.ts";
import type { ZScore } from "./types/scoring.ts";

/**
 * Windows in points, so that they mean the same at any interval; at one minute: half an hour, 4.8
 * hours, a day. The longest window (4032 points) is the value stream's own and is not kept twice.
 */
const SHORT_WINDOWS_POINTS = [30, 288, 1440] as const;
/** The shortest window is exact; the others tell a median and a scale well from so few. */
const Z_ENTRIES = 48;
const Z_FROM_VALUES = 12;
/** Beyond this a z only says that the window was constant. */
const Z_LIMIT = 1000;

/** Windows of raw values for z-scores; kept beside the novelty windows. */
export type ZWindows = readonly PastWindow[];

export function createZWindows(arena?: Arena): ZWindows {
  return SHORT_WINDOWS_POINTS.map(
    (points) => new SketchWindow(points, Math.min(points, Z_ENTRIES), arena),
  );
}

/**
 * Robust scale of a window, never 0: a median absolute deviation alone is 0 whenever half of the
 * window is constant. `core` (q99 - q01 of the long past) lends 2 % to short
 * windows that happen to be flat.
 */
export function robustScale(window: Pick<PastWindow, "quantile">, core: number): number {
  const q = (fraction: number): number => window.quantile(fraction);
  return Math.max(
    (q(0.75) - q(0.25)) / 1.349,
    (q(0.95) - q(0.05)) / 3.29,
    (0.75 * (q(0.99) - q(0.01))) / 4.65,
    0.02 * core,
    1e-9 * Math.abs(q(0.5)),
    1e-12,
  );
}

/** The value's robust z against each window that holds enough earlier values, short windows first. */
export function zScores(short: ZWindows, past: PastWindow, value: number, core: number): ZScore[] {
  const scores: ZScore[] = [];
  for (const window of [...short, past]) {
    if (window.size < Z_FROM_VALUES) continue;
    const median = window.quantile(0.5);
    const scale = robustScale(window, core);
    const z = Math.min(Z_LIMIT, Math.max(-Z_LIMIT, (value - median) / scale));
    scores.push({ window: window.capacity, z, median, scale, n: window.size });
  }
  return scores;
}
