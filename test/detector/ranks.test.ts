import { expect, test } from "@jest/globals";
import { Arena } from "../../detector/arena.ts";
import { mulberry32, type Random } from "../../detector/random.ts";
import { createRanks, rankRowsOf, takeRank, type Ranks } from "../../detector/ranks.ts";
import { SketchWindow } from "../../detector/sketch-window.ts";

const DAY = 1440;

function emptyRanks(): Ranks {
  return createRanks(() => new SketchWindow(10_080, 32), new Arena(8 * 146 + 7 * 528));
}

/** Ranks of a series in which nothing happens are shares of 0 to 1, all alike often. */
function liveOn(ranks: Ranks, points: number, random: Random, seasonal = false): void {
  for (let count = 0; count < points; count += 1) takeRank(ranks, random(), seasonal);
}

test("ranks say nothing for a day, then that nothing happened", () => {
  const ranks = emptyRanks();
  const random = mulberry32(1);
  liveOn(ranks, DAY - 1, random);
  const young = takeRank(ranks, 1, false);
  expect(Math.max(...Object.values(young?.fresh ?? {}))).toBe(0);

  liveOn(ranks, 3 * DAY, random);
  const usual = takeRank(ranks, 0.5, false);
  expect(Math.max(...(usual ? rankRowsOf(usual).lasting : []))).toBeLessThan(0.3);
});

test("an hour in the upper third, which no single value shows, saturates the row", () => {
  const ranks = emptyRanks();
  const random = mulberry32(2);
  liveOn(ranks, 4 * DAY, random);
  const readings = Array.from({ length: 60 }, () => takeRank(ranks, 0.7 + random() / 4, false));

  const last = readings.at(-1);
  expect(last?.streams.rank_mean).toBeGreaterThan(0.7);
  expect(last?.lasting.rank_low).toBeGreaterThan(1);
  expect(last && rankRowsOf(last).lasting.slice(0, 3)).toEqual([1, 1, 1]);
});

test("a run on one side of the median is new as soon as it is longer than all before, though it grows by one a minute", () => {
  const ranks = emptyRanks();
  const random = mulberry32(5);
  liveOn(ranks, 4 * DAY, random);
  const readings = Array.from({ length: 40 }, () => takeRank(ranks, random() / 2, false));

  expect(readings[39]?.streams.rank_run).toBeGreaterThan(6);
  expect(readings[14]?.fresh.rank_run).toBeLessThan(0.3);
  expect(readings[39]?.fresh.rank_run).toBeGreaterThan(0.8);
});

test("bursts of ten minutes move the upper half only", () => {
  const ranks = emptyRanks();
  const random = mulberry32(3);
  liveOn(ranks, 4 * DAY, random);
  for (let count = 0; count < 10; count += 1) takeRank(ranks, 0.999, false);
  const burst = takeRank(ranks, 0.5, false);

  expect(burst?.streams.rank_high).toBeGreaterThan(1.1);
  expect(burst?.lasting.rank_high).toBeGreaterThan(2 * (burst?.lasting.rank_low ?? Infinity));
});

test("what was learned of values says nothing of residuals: they begin again", () => {
  const ranks = emptyRanks();
  liveOn(ranks, 3 * DAY, mulberry32(4));

  const first = takeRank(ranks, 0.999, true);

  expect(ranks.origin.points).toBe(1);
  expect(first?.streams.rank_mean).toBeUndefined();
  expect(first?.bands.rank_mean).toBeUndefined();
});

test("a rank that nobody knows is nothing", () => {
  const ranks = emptyRanks();

  expect(takeRank(ranks, NaN, false)).toBeUndefined();
  expect(ranks.origin.points).toBe(0);
});
