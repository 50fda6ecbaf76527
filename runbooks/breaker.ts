import type { BreakerLimits, BreakerState } from "./types/breaker.ts";

/** Why the breaker says no, or undefined when it does not. Shared by the decision and by the guard that takes the slot. */
export function breakerRefusal(breaker: BreakerState, limits: BreakerLimits): string | undefined {
  if (breaker.kind === "unknown")
    return "the breaker's counters cannot be read (store_unavailable)";
  if (breaker.open) return "the breaker is open";
  if (breaker.usedHour >= limits.hourly)
    return `${breaker.usedHour} of ${limits.hourly} actions used in the last hour`;
  if (breaker.usedDay >= limits.daily)
    return `${breaker.usedDay} of ${limits.daily} actions used in the last day`;
  return undefined;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What the slots taken at these times (milliseconds) amount to at a moment: the same windows as in Postgres. */
export function breakerWindow(
  takenAt: readonly number[],
  now: number,
): { readonly usedHour: number; readonly usedDay: number } {
  return {
    usedHour: takenAt.filter((at) => at > now - HOUR_MS).length,
    usedDay: takenAt.filter((at) => at > now - DAY_MS).length,
  };
}
