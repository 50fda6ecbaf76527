import { expect, test } from "@jest/globals";
import { SeasonalMemory } from "../../detector/seasonal.ts";
import { MINUTE } from "./given.ts";

const DAY_MS = 1440 * MINUTE;
const START = Date.UTC(2026, 10, 16);
const daily = (t: number): number => 1e9 + 50 * Math.sin((2 * Math.PI * t) / DAY_MS);

function taught(days: number, value: (t: number) => number | undefined = daily): SeasonalMemory {
  const memory = new SeasonalMemory();
  for (let t = START; t < START + days * DAY_MS; t += MINUTE) {
    const one = value(t);
    if (one !== undefined) memory.push(t, one);
  }
  return memory;
}

test("nothing is expected before two days are known", () => {
  expect(taught(1.9).expect(START + 1.9 * DAY_MS, 0)).toBeUndefined();
  expect(new SeasonalMemory().expect(START, 0)).toBeUndefined();
});

test("the same time of earlier days is expected, also when the changes are small against the value", () => {
  const memory = taught(3);

  for (const part of [0, 0.1, 0.37, 0.5, 0.93]) {
    const t = START + (3 + part) * DAY_MS;
    expect(Math.abs((memory.expect(t, daily(t)) ?? NaN) - daily(t))).toBeLessThan(1);
  }
});

test("one strange day does not move the median; the same day a week ago may say otherwise", () => {
  const strange = (t: number): number => (Math.floor((t - START) / DAY_MS) === 0 ? 7 : 100);
  const memory = taught(7, strange);

  expect(memory.expect(START + 7.5 * DAY_MS, 90)).toBeCloseTo(100);
  expect(memory.expect(START + 7.5 * DAY_MS, 8)).toBeCloseTo(7);
});

test("a gap of days forgets what is too old, and a missing hour is no value", () => {
  const memory = taught(3, (t) => (new Date(t).getUTCHours() === 5 ? undefined : 3));
  expect(memory.expect(START + 3 * DAY_MS + 5.5 * 60 * MINUTE, 3)).toBeUndefined();

  memory.push(START + 30 * DAY_MS, 4);
  expect(memory.expect(START + 30 * DAY_MS, 4)).toBeUndefined();
});
