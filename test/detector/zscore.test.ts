import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { ExactWindow } from "./exact-window.ts";
import { createZWindows, robustScale, zScores } from "../../detector/zscore.ts";
import { flat, valuesOf } from "./given.ts";

function windowOf(values: readonly number[], capacity = 4032): ExactWindow {
  const window = new ExactWindow(capacity);
  for (const value of values) window.push(value);
  return window;
}

test("the scale of normal noise is its deviation", () => {
  const scale = robustScale(windowOf(valuesOf(flat, 4000, 1)), 14);

  expect(scale).toBeGreaterThan(2.8);
  expect(scale).toBeLessThan(3.3);
});

test("the scale is never 0, where a median absolute deviation is", () => {
  const mostlyConstant = [
    ...Array.from({ length: 90 }, () => 7),
    ...Array.from({ length: 10 }, (_, i) => i),
  ];

  expect(robustScale(windowOf(mostlyConstant), 9)).toBeGreaterThan(0.1);
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, min: -1e12, max: 1e12 }), { minLength: 1 }),
      (values) => {
        expect(robustScale(windowOf(values), 0)).toBeGreaterThan(0);
      },
    ),
  );
});

test("each window that knows enough gives a z against the values before the point", () => {
  const short = createZWindows();
  const values = valuesOf(flat, 400, 2);
  for (const window of short) for (const value of values) window.push(value);

  const scores = zScores(short, windowOf(values), 130, 14);

  expect(scores.map(({ window, n }) => [window, n])).toEqual([
    [30, 30],
    [288, 288],
    [1440, 400],
    [4032, 400],
  ]);
  for (const { z } of scores) expect(Math.abs(z - 10)).toBeLessThan(4);
});

test("a step off a constant is large but finite", () => {
  const short = createZWindows();
  const constant = Array.from({ length: 50 }, () => 5);
  for (const window of short) for (const value of constant) window.push(value);

  expect(zScores(short, windowOf(constant), 6, 0).map(({ z }) => z)).toEqual([
    1000, 1000, 1000, 1000,
  ]);
  expect(zScores(createZWindows(), windowOf([]), 6, 0)).toEqual([]);
});
