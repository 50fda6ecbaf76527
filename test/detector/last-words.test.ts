import { expect, test } from "@jest/globals";
import { deltaOf, lastWords, scoreOf, tell, zscoresOf } from "../../detector/last-words.ts";
import type { PointScore } from "../../detector/types/scoring.ts";
import { flat, scoresOf, valuesOf } from "./given.ts";

const scores = scoresOf([...valuesOf(flat, 400, 1), 900]) as PointScore[];
const usual = scores.findLast(({ score }) => score === 0) as PointScore;
const first = scores[0] as PointScore;
const strange = scores.at(-1) as PointScore;

test("of a usual point the value, its expected band and its distances are kept, the rest is let go", () => {
  const { streams, bands } = tell(lastWords(usual));

  expect({ ...usual, streams, bands }).toEqual(tell(lastWords(usual)));
  expect(bands.value).toEqual(usual.bands.value);
  expect(Object.values(bands).filter((band) => band !== undefined)).toHaveLength(1);
  expect(new Set(Object.values(streams))).toEqual(new Set([undefined]));
  expect(Object.keys(streams)).toEqual(Object.keys(usual.streams));
  expect(Object.keys(tell(lastWords(usual)).weights)).toEqual(Object.keys(usual.weights));
});

test.each([
  { percentChange: undefined },
  { seasonal: 12.5 },
  { novelty: "lasting" as const, ranked: true },
  { row: [0.25, 0.5], zscores: usual.zscores.slice(2) },
])("a usual point with %j is told as it was", (change) => {
  const point = { ...usual, ...change };
  const { streams, bands } = tell(lastWords(point));

  expect(tell(lastWords(point))).toEqual({ ...point, streams, bands });
});

test("a first point has no band, no distances, and no percentage of nothing", () => {
  const told = tell(lastWords(first));

  expect(told).toMatchObject({ n: 1, value: first.value, zscores: [] });
  expect(told.bands.value).toBeUndefined();
  expect(told.percentChange).toBe(first.percentChange);
  expect(told.seasonal).toBeUndefined();
});

test("a point's score, delta and distances are told alone as well", () => {
  for (const point of [usual, strange]) {
    const words = lastWords(point);
    expect([scoreOf(words), deltaOf(words)]).toEqual([point.score, point.delta]);
    expect(zscoresOf(words)).toEqual(point.zscores);
  }
});

test("the numbers of the point before are written over where they are as many", () => {
  const before = lastWords(usual);
  const next = { ...usual, value: 7, delta: -7 };

  expect(lastWords(next, before)).toBe(before);
  expect(tell(before)).toMatchObject({ value: 7, delta: -7 });
  expect(lastWords(first, before)).not.toBe(before);
  expect(tell(lastWords(first, before)).zscores).toEqual([]);
  expect(lastWords(usual, strange)).toEqual(lastWords(usual));
});

test("a usual point is numbers and nothing else", () => {
  const words = lastWords(usual);

  expect(words).toHaveLength(59);
  expect(new Set(Object.values(words).map((number) => typeof number))).toEqual(new Set(["number"]));
});

test("a strange point is kept as it is", () => {
  expect(strange.score).toBeGreaterThan(0.5);
  expect(lastWords(strange)).toBe(strange);
});
