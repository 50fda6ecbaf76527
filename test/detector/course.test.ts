import { describe, expect, test } from "@jest/globals";
import { changeIn, COURSE_POINTS } from "../../detector/course.ts";
import { mulberry32 } from "../../detector/random.ts";
import { gaussian } from "./shapes.ts";

const SEEDS = Array.from({ length: 50 }, (_, index) => index + 1);

function course(seed: number, at: (index: number, noise: number) => number): number[] {
  const random = mulberry32(seed * 97);
  return Array.from({ length: COURSE_POINTS }, (_, index) => at(index, gaussian(random)));
}

/** How often each word is said of 50 courses. */
function words(at: (index: number, noise: number) => number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const seed of SEEDS) {
    const change = changeIn(course(seed, at));
    const word = change === undefined ? "nothing" : `${change.kind} ${change.direction}`;
    counts[word] = (counts[word] ?? 0) + 1;
  }
  return counts;
}

describe("of 50 courses of 60 points, at least 40", () => {
  test.each([
    ["step up", (index: number, noise: number) => noise + (index < 40 ? 0 : 4)],
    ["step down", (index: number, noise: number) => noise - (index < 20 ? 0 : 4)],
    ["ramp up", (index: number, noise: number) => noise + Math.max(0, index - 25) / 3],
    ["ramp down", (index: number, noise: number) => noise - Math.max(0, index - 25) / 3],
    ["scatter up", (index: number, noise: number) => (index < 35 ? noise : 6 * noise)],
    ["scatter down", (index: number, noise: number) => (index < 30 ? noise : noise / 10)],
  ])("are called %s", (name, at) => {
    expect(words(at)[name]).toBeGreaterThanOrEqual(40);
  });
});

test("a mean that doubles its scatter as it moves is still a step", () => {
  expect(words((index, noise) => (index < 40 ? noise : 8 + 2 * noise))["step up"]).toBe(50);
});

test("of noise alone hardly one course in a hundred is much likelier with a change than without", () => {
  const evidence = Array.from(
    { length: 1000 },
    (_, seed) => changeIn(course(seed + 1, (_index, noise) => noise))?.evidence ?? 0,
  );

  expect(evidence.filter((nats) => nats > 12).length).toBeLessThanOrEqual(2);
  expect(Math.min(...evidence)).toBeGreaterThan(-3);
});

test("where the change is known to the point, the evidence grows with its size", () => {
  const [small, large] = [2, 6].map((size) =>
    changeIn(course(3, (index, noise) => noise + (index < 45 ? 0 : size))),
  );

  expect(large?.evidence).toBeGreaterThan((small?.evidence ?? Infinity) + 10);
});

test.each([
  ["nothing", []],
  ["eleven points", Array.from({ length: 11 }, (_, index) => index)],
  ["a constant", Array.from({ length: 60 }, () => 7)],
])("of %s nothing is said", (_name, values) => {
  expect(changeIn(values)).toBeUndefined();
});
