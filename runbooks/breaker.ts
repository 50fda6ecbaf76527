import type { BreakerLimits } from "./types.ts";

/** What the breaker's counters say; "unknown" when they cannot be read. */
export type BreakerState =
  | {
      readonly kind: "known";
      readonly open: boolean;
      readonly usedHour: number;
      readonly usedDay: number;
    }
  | { readonly kind: "unknown" };

/** Why the breaker says no, or undefined when it does not. Shared by the decision and by the guard that takes the slot. */
export function breakerRefusal(breaker: BreakerState, limits: BreakerLimits): string | undefined {
  if (breaker.kind === "unknown") return "the breaker's counters cannot be read";
  if (breaker.open) return "the breaker is open";
  if (breaker.usedHour >= limits.hourly)
    return `${breaker.usedHour} of ${limits.hourly} actions used in the last hour`;
  if (breaker.usedDay >= limits.daily)
    return `${breaker.usedDay} of ${limits.daily} actions used in the last day`;
  return undefined;
}
