import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { ExactWindow } from "./exact-window.ts";

const values = fc.array(
  fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double({ noNaN: true, min: -1e9, max: 1e9 })),
  { minLength: 1, maxLength: 300 },
);

test("holds the last values, sorted, as a plain array would", () => {
  fc.assert(
    fc.property(
      values,
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: -1e9, max: 1e9, noNaN: true }),
      (pushed, capacity, probe) => {
        const window = new ExactWindow(capacity);
        for (const value of pushed) window.push(value);
        const kept = pushed.slice(-capacity).sort((a, b) => a - b);

        expect(window.size).toBe(kept.length);
        expect(window.min).toBe(kept[0] ?? NaN);
        expect(window.max).toBe(kept.at(-1) ?? NaN);
        expect(window.nearestGap(probe)).toBe(
          Math.min(...kept.map((value) => Math.abs(value - probe))),
        );
        for (const fraction of [0, 0.01, 0.25, 0.5, 0.99, 1]) {
          expect(window.quantile(fraction)).toBeCloseTo(reference(kept, fraction), 4);
        }
      },
    ),
  );
});

test("an empty window has no quantile and no near value", () => {
  const window = new ExactWindow(10);

  expect([window.min, window.max, window.quantile(0.5)]).toEqual([NaN, NaN, NaN]);
  expect(window.nearestGap(3)).toBe(Infinity);
});

function reference(sorted: readonly number[], fraction: number): number {
  const rank = fraction * (sorted.length - 1);
  const low = sorted[Math.floor(rank)] ?? NaN;
  const high = sorted[Math.ceil(rank)] ?? NaN;
  return low * (1 - (rank % 1)) + high * (rank % 1);
}
