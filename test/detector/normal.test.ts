import { expect, test } from "@jest/globals";
import { normalQuantile } from "../../detector/normal.ts";

// Abramowitz and Stegun, Handbook of Mathematical Functions, table 26.5.
test.each([
  [0.5, 0],
  [0.75, 0.6744897501960817],
  [0.9, 1.2815515655446004],
  [0.975, 1.959963984540054],
  [0.999, 3.090232306167813],
  [0.00001, -4.264890793922825],
])("below %d of a normal distribution lie the numbers under %d", (share, number) => {
  expect(normalQuantile(share)).toBeCloseTo(number, 7);
});

test("the ends are infinite, and both sides are alike", () => {
  expect([normalQuantile(0), normalQuantile(1)]).toEqual([-Infinity, Infinity]);
  expect(normalQuantile(0.25)).toBe(-normalQuantile(0.75));
});
