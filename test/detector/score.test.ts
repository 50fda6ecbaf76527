import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { createSeriesState, scorePoint } from "../../detector/score.ts";
import { defaultForest, flat, scoresOf, sine, valuesOf } from "./given.ts";

test("the scores of a prefix are the prefix of the scores", () => {
  const values = [...valuesOf(sine, 500, 1), 900, 0, ...valuesOf(flat, 100, 2)];
  const all = scoresOf(values);

  for (const length of [1, 40, 301, 502]) {
    expect(scoresOf(values.slice(0, length))).toEqual(all.slice(0, length));
  }
});

test.each([NaN, Infinity, -Infinity, Number.MAX_VALUE, -1e31])(
  "%s is a gap: no score, and nothing remembered",
  (gap) => {
    const values = valuesOf(flat, 400, 3);
    const state = createSeriesState();
    const scores = values.flatMap((value, t) => {
      const between =
        t % 50 === 0 ? scorePoint(state, { t, value: gap }, defaultForest()) : undefined;
      expect(between).toBeUndefined();
      return scorePoint(state, { t, value }, defaultForest())?.score ?? NaN;
    });

    expect(scores).toEqual(scoresOf(values).map((score) => score?.score));
  },
);

test("whatever finite values come, the score is a number from 0 to 1", () => {
  const extreme = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(0, -0, 1e308, -1e308, 1e29, -1e29, 5e-324),
    fc.integer(),
  );
  fc.assert(
    fc.property(fc.array(extreme, { minLength: 40, maxLength: 150 }), (values) => {
      for (const score of scoresOf(values)) {
        if (score === undefined) continue; // beyond 1e30
        expect(score.score).toBeGreaterThanOrEqual(0);
        expect(score.score).toBeLessThanOrEqual(1);
        expect(JSON.stringify(score)).not.toContain("null"); // what JSON makes of NaN and Infinity
      }
    }),
    { numRuns: 60 },
  );
});

test("without a forest the mean of the features takes its place: a shift is never silent", () => {
  const values = [...valuesOf(flat, 400, 4), 160];

  const score = scoresOf(values, undefined).at(-1);
  const state = createSeriesState();
  const alone = values.map((value, t) => scorePoint(state, { t, value }, undefined)).at(-1);

  expect(score?.score).toBeGreaterThan(0.8);
  expect(alone?.score).toBeGreaterThan(0.8);
});

test("a point carries its evidence: band, z-scores, baseline, percent change", () => {
  const score = scoresOf([...valuesOf(flat, 500, 5), 160]).at(-1);

  expect(score?.n).toBe(501);
  expect(score?.bands.value?.low).toBeGreaterThan(80);
  expect(score?.bands.value?.high).toBeLessThan(120);
  expect(score?.zscores.map(({ window }) => window)).toEqual([30, 288, 1440, 10_080]);
  expect(score?.baseline).toBeCloseTo(100, -1);
  expect(score?.delta).toBeCloseTo(60, -1);
  expect(score?.percentChange).toBeCloseTo(60, -1);
});
