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

test("of thousands of values, gaps stay within 4 % of the range and quantiles near the exact ones", () => {
  const [sketch, exact] = [new SketchWindow(4032, 96), new ExactWindow(4032)];
  for (const value of valuesOf(flat, 4000, 1))
    for (const window of [sketch, exact]) window.push(value);
  const range = exact.max - exact.min;

  for (let probe = exact.min; probe < exact.max; probe += range / 50) {
    expect(sketch.nearestGap(probe)).toBeLessThan(exact.nearestGap(probe) + 0.04 * range);
  }
  for (const fraction of [0.01, 0.25, 0.5, 0.75, 0.99]) {
    expect(Math.abs(sketch.quantile(fraction) - exact.quantile(fraction))).toBeLessThan(
      0.02 * range,
    );
  }
  expect([sketch.min, sketch.max]).toEqual([exact.min, exact.max]);
});

test("where nine of ten values lie close together, a tenth reaching far does not blur their ranks", () => {
  const [sketch, exact] = [new SketchWindow(10_080, 80), new ExactWindow(10_080)];
  const random = mulberry32(7);
  for (let count = 0; count < 8000; count += 1) {
    const value = random() < 0.1 ? 40 + 80 * random() : 20 + random();
    for (const window of [sketch, exact]) window.push(value);
  }

  const errorAt = (probe: number): number => Math.abs(sketch.rank(probe) - exact.rank(probe));
  expect(Math.max(...[19, 21.2, 30, 60, 110, 121].map(errorAt))).toBeLessThan(0.01);
  expect(Math.max(...[20.1, 20.3, 20.5, 20.7, 20.9].map(errorAt))).toBeLessThan(0.15);
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

test("what was seen before and after the 65,536th number is remembered and forgotten like any other", () => {
  const sketch = new SketchWindow(1600, 64);
  const random = mulberry32(2);
  const pushMany = (count: number): void => {
    for (let index = 0; index < count; index += 1) sketch.push(random());
  };
  pushMany(65_000);
  sketch.push(50);
  pushMany(600);
  sketch.push(40);
  pushMany(800);
  expect([sketch.nearestGap(50), sketch.nearestGap(40)]).toEqual([0, 0]);

  pushMany(400);
  expect([sketch.max, sketch.nearestGap(40)]).toEqual([40, 0]);
  pushMany(600);
  expect(sketch.max).toBeLessThan(1);
});

test("a window whose ages could not be told apart is refused", () => {
  expect(() => new SketchWindow(65_000, 8)).toThrow("a window of 65000 is too long");
});

test("an empty sketch has no quantile and no near value", () => {
  const sketch = new SketchWindow(10, 8);

  expect([sketch.min, sketch.max, sketch.quantile(0.5)]).toEqual([NaN, NaN, NaN]);
  expect(sketch.nearestGap(3)).toBe(Infinity);
  expect(sketch.rank(3)).toBeNaN();
});

test("a sketch that was cleared is as good as new", () => {
  const [used, fresh] = [new SketchWindow(100, 8), new SketchWindow(100, 8)];
  for (let value = 0; value < 60; value += 1) used.push(value * value);
  used.clear();
  for (const value of [5, 1, 5, 9]) for (const window of [used, fresh]) window.push(value);

  const saying = (window: SketchWindow): unknown => [
    window.size,
    window.min,
    window.max,
    window.rank(5),
    window.quantile(0.3),
  ];
  expect(saying(used)).toEqual(saying(fresh));
});
