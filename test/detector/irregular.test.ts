import { expect, test } from "@jest/globals";
import { createSeriesState, scorePoint } from "../../detector/score.ts";
import type { Point, PointScore } from "../../detector/types/scoring.ts";
import { defaultForest, flat, MINUTE, sine, valuesOf } from "./given.ts";
import { DAY } from "./shapes.ts";

function scoreAll(points: readonly Point[]): PointScore[] {
  const state = createSeriesState();
  return points.flatMap((point) => scorePoint(state, point, defaultForest()) ?? []);
}

function every(minutes: number, values: readonly number[]): Point[] {
  return values.map((value, index) => ({ t: index * minutes * MINUTE, value }));
}

test("a gap of hours is not an incident: the first point after it is measured like any other", () => {
  const points = every(1, valuesOf(flat, 2000, 1)).filter(
    ({ t }) => t < 1500 * MINUTE || t > 1800 * MINUTE,
  );

  const after = scoreAll(points).filter(({ t }) => t > 1800 * MINUTE);

  expect(Math.max(...after.map(({ score }) => score))).toBeLessThan(0.65);
});

test("the season survives a gap of a day, and goes on by the clock", () => {
  const points = every(
    5,
    valuesOf((index, noise) => sine(index * 5, noise), 2880, 2),
  );
  const gap = points.filter(({ t }) => t < 8 * DAY * MINUTE || t >= 9 * DAY * MINUTE);

  const last = scoreAll(gap).at(-1);

  expect(Math.abs((last?.seasonal ?? NaN) - (last?.value ?? NaN))).toBeLessThan(15);
});

test("a late or a doubled point breaks nothing: scores stay numbers from 0 to 1", () => {
  const points = every(1, valuesOf(sine, 600, 3));
  const [late] = points.slice(100, 101);
  if (late === undefined) throw new Error("no point");

  const scores = scoreAll([...points.slice(0, 500), late, late, ...points.slice(500)]);

  expect(scores).toHaveLength(602);
  expect(scores.every(({ score }) => score >= 0 && score <= 1)).toBe(true);
});

test("a counter that is read raw and starts again is a drop, once, not news for ever", () => {
  const counter = Array.from({ length: 1200 }, (_, index) => 10 * (index % 600));

  const scores = scoreAll(every(1, counter)).slice(600);

  expect(scores[0]?.streams.value).toBe(0);
  expect(Math.max(...scores.slice(300).map(({ weights }) => weights.value))).toBeLessThan(0.15);
});
