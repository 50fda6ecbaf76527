import type { TrainingMask } from "./types.ts";

/** Whether a point of a series lies in a period that training leaves out. */
export function createMaskTest(
  masks: readonly TrainingMask[],
): (metric: string, series: string, t: number) => boolean {
  const bySeries = new Map<string, TrainingMask[]>();
  for (const mask of masks) {
    const key = `${mask.metric}\n${mask.series}`;
    bySeries.set(key, [...(bySeries.get(key) ?? []), mask]);
  }
  return (metric, series, t) =>
    bySeries.get(`${metric}\n${series}`)?.some(({ from, to }) => from <= t && t <= to) ?? false;
}
