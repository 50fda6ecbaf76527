import type { StepRange } from "../types.ts";

/** Prometheus refuses more than 11,000 points per series in one range query; 10,000 keeps clear of it. */
const PAGE_POINTS = 10_000;

/** The same steps as several ranges, none of which Prometheus refuses for its length. */
export function pagesOf({ from, to, step }: StepRange): readonly StepRange[] {
  const pages: StepRange[] = [];
  for (let start = from; start <= to; start += PAGE_POINTS * step) {
    pages.push({ from: start, to: Math.min(to, start + (PAGE_POINTS - 1) * step), step });
  }
  return pages;
}
