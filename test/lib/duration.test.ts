import { expect, test } from "@jest/globals";
import { parseDuration } from "../../lib/duration.ts";

test.each([
  ["90s", 90],
  ["15m", 900],
  ["2h", 7_200],
  ["7d", 604_800],
  ["0s", 0],
])("%s is %d seconds", (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each(["", "15", "m", "1.5h", "-1m", "1w", "15 m", "1234567s", "1h30m"])(
  "%j is no length of time",
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);
