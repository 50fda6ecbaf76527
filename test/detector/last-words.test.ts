import { expect, test } from "@jest/globals";
import { lastWords } from "../../detector/last-words.ts";
import type { PointScore } from "../../detector/types/scoring.ts";
import { flat, scoresOf, valuesOf } from "./given.ts";

const scores = scoresOf([...valuesOf(flat, 400, 1), 900]) as PointScore[];
const usual = scores.findLast(({ score }) => score === 0) as PointScore;
const strange = scores.at(-1) as PointScore;

test("of a usual point the value, its expected band and its distances are kept, the rest is let go", () => {
  const { streams, bands } = lastWords(usual);

  expect({ ...usual, streams, bands }).toEqual(lastWords(usual));
  expect(bands.value).toEqual(usual.bands.value);
  expect(Object.values(bands).filter((band) => band !== undefined)).toHaveLength(1);
  expect(new Set(Object.values(streams))).toEqual(new Set([undefined]));
  expect(Object.keys(streams)).toEqual(Object.keys(usual.streams));
});

test("a strange point is kept as it is", () => {
  expect(strange.score).toBeGreaterThan(0.5);
  expect(lastWords(strange)).toBe(strange);
});
