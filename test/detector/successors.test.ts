import { expect, test } from "@jest/globals";
import { createSeries, type Series } from "../../detector/series.ts";
import { successorsAmong } from "../../detector/successors.ts";

function series(name: string, bornAt: number, lastAt: number): Series {
  return { ...createSeries({ name }, bornAt), lastAt };
}

test("a successor was born late enough and seen later than the one that vanished", () => {
  const all = successorsAmong([
    series("old", 0, 90),
    series("new", 60, 100),
    series("gone", 70, 80),
  ]);

  expect(all.has({ born: 50, seen: 90 })).toBe(true);
  expect(all.has({ born: 60, seen: 90 })).toBe(false);
  expect(all.has({ born: 65, seen: 79 })).toBe(true);
  expect(all.has({ born: 50, seen: 100 })).toBe(false);
});

test("among none there is no successor", () => {
  expect(successorsAmong([]).has({ born: -Infinity, seen: -Infinity })).toBe(false);
});
