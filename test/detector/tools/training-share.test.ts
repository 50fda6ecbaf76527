import { expect, test } from "@jest/globals";
import { trainingShare } from "../../../detector/tools/training-share.ts";

const DAY_MS = 86_400_000;
const step = 60_000;
const metricsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: `m${index}`, expr: `m${index}` }));
const days = (count: number, last = 100) => ({
  ...{ from: (last - count) * DAY_MS, to: last * DAY_MS, step },
});

test.each([
  [1, 14, 1, 100],
  [4, 14, 4, 25],
  [100, 14, 100, 1],
  [101, 14, 100, 1],
  [5_000, 14, 100, 1],
  [4, 140, 4, 2],
  [5_000, 140, 10, 1],
  [5_000, 1_000, 1, 1],
])("%i metrics of %i days: %i metrics, %i series each", (count, length, kept, seriesMax) => {
  const share = trainingShare(metricsOf(count), days(length));

  expect([share.metrics.length, share.seriesMax]).toEqual([kept, seriesMax]);
  expect(share.metrics.length * share.seriesMax * length * 1440).toBeLessThanOrEqual(2_100_000);
});

test("who is chosen is the same for the same days, and in time everybody is", () => {
  const metrics = metricsOf(300);
  const chosen = (last: number) => trainingShare(metrics, days(14, last)).metrics;
  const turns = new Map<string, number>();
  for (let day = 100; day < 130; day += 1) {
    for (const { name } of chosen(day)) turns.set(name, (turns.get(name) ?? 0) + 1);
  }

  expect(chosen(100)).toEqual(chosen(100));
  expect(turns.size).toBe(300);
  expect(Math.max(...turns.values())).toBeLessThan(22); // of 30 nights; the mean is 10
});
