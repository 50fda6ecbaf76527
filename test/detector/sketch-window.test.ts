import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { mulberry32 } from "../../detector/random.ts";
import { SketchWindow } from "../../detector/sketch-window.ts";
import { ExactWindow } from "./exact-window.ts";
import { flat, valuesOf } from "./given.ts";

test("while everything fits, the nearest gap and the range are exact", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: -2000, max: 2000 }),
      (values, probe) => {
        const [sketch, exact] = [new SketchWindow(4032, 64), new ExactWindow(4032)];
        for (const value of values) for (const window of [sketch, exact]) window.push(value);

        expect(sketch.nearestGap(probe)).toBe(exact.nearestGap(probe));
        expect([sketch.min, sketch.max, sketch.size]).toEqual([exact.min, exact.max, exact.size]);
      },
    ),
  );
});

test("of thousands of values, gaps stay within 3 % of the range and quantiles near the exact ones", () => {
  const [sketch, exact] = [new SketchWindow(4032, 96), new ExactWindow(4032)];
  for (const value of valuesOf(flat, 4000, 1))
    for (const window of [sketch, exact]) window.push(value);
  const range = exact.max - exact.min;

  for (let probe = exact.min; probe < exact.max; probe += range / 50) {
    expect(sketch.nearestGap(probe)).toBeLessThan(exact.nearestGap(probe) + 0.03 * range);
  }
  for (const fraction of [0.01, 0.25, 0.5, 0.75, 0.99]) {
    expect(Math.abs(sketch.quantile(fraction) - exact.quantile(fraction))).toBeLessThan(
      0.07 * range,
    );
  }
  expect([sketch.min, sketch.max]).toEqual([exact.min, exact.max]);
});

test("a lone giant neither coarsens the others nor stays for ever", () => {
  const sketch = new SketchWindow(1600, 64);
  const random = mulberry32(1);
  sketch.push(1e18);
  for (let count = 0; count < 1000; count += 1) sketch.push(random());
  expect(sketch.max).toBe(1e18);
  expect(sketch.nearestGap(0.5)).toBeLessThan(0.1);

  for (let count = 0; count < 800; count += 1) sketch.push(random());
  expect(sketch.max).toBeLessThan(1);
});

test("an empty sketch has no quantile and no near value", () => {
  const sketch = new SketchWindow(10, 8);

  expect([sketch.min, sketch.max, sketch.quantile(0.5)]).toEqual([NaN, NaN, NaN]);
  expect(sketch.nearestGap(3)).toBe(Infinity);
});
