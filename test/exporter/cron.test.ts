import { expect, test } from "@jest/globals";
import { isDue, parseCron } from "../../exporter/cron.ts";

const MINUTE_MS = 60_000;

/** Every run between two instants, as the exporter would see it that looks once a minute. */
function runs(expression: string, timeZone: string, from: string, to: string): string[] {
  const cron = parseCron(expression);
  if (cron === undefined) throw new Error(`not understood: ${expression}`);
  const found: string[] = [];
  for (let at = Date.parse(from); at < Date.parse(to); at += MINUTE_MS) {
    if (isDue(cron, timeZone, new Date(at), new Date(at + MINUTE_MS)))
      found.push(new Date(at + MINUTE_MS).toISOString().slice(5, 16));
  }
  return found;
}

const ZAGREB = "Europe/Zagreb";

test("a time of day is that of the zone, in summer and in winter", () => {
  expect(runs("15 1 * * *", ZAGREB, "2026-07-01T00:00Z", "2026-07-03T00:00Z")).toEqual([
    "07-01T23:15",
    "07-02T23:15",
  ]);
  expect(runs("15 1 * * *", ZAGREB, "2026-12-01T12:00Z", "2026-12-02T12:00Z")).toEqual([
    "12-02T00:15",
  ]);
  expect(runs("15 1 * * *", "Etc/UTC", "2026-07-01T00:00Z", "2026-07-02T00:00Z")).toEqual([
    "07-01T01:15",
  ]);
});

test("an hour that the clocks skip is made up for at once, one that they repeat runs once", () => {
  // 2027-03-28 02:00 CET becomes 03:00 CEST (01:00 UTC); 2026-10-25 03:00 CEST becomes 02:00 CET (01:00 UTC).
  expect(runs("30 2 * * *", ZAGREB, "2027-03-27T12:00Z", "2027-03-29T12:00Z")).toEqual([
    "03-28T01:00",
    "03-29T00:30",
  ]);
  expect(runs("30 2 * * *", ZAGREB, "2026-10-24T12:00Z", "2026-10-26T12:00Z")).toEqual([
    "10-25T00:30",
    "10-26T01:30",
  ]);
  expect(runs("0 3 * * *", ZAGREB, "2026-10-24T12:00Z", "2026-10-25T12:00Z")).toEqual([
    "10-25T02:00",
  ]);
});

test("what runs in every hour loses none and doubles none when clocks change", () => {
  expect(runs("0 * * * *", ZAGREB, "2026-10-24T22:30Z", "2026-10-25T03:30Z")).toEqual([
    "10-24T23:00",
    "10-25T00:00",
    "10-25T01:00",
    "10-25T02:00",
    "10-25T03:00",
  ]);
  expect(runs("*/30 * * * *", ZAGREB, "2027-03-28T00:10Z", "2027-03-28T02:10Z")).toEqual([
    "03-28T00:30",
    "03-28T01:00",
    "03-28T01:30",
    "03-28T02:00",
  ]);
});

test("days, months, names, lists, ranges and steps", () => {
  expect(runs("0 12 1,15 * *", "Etc/UTC", "2026-01-01T00:00Z", "2026-01-31T00:00Z")).toEqual([
    "01-01T12:00",
    "01-15T12:00",
  ]);
  expect(runs("0 0 * jan-feb mon", "Etc/UTC", "2026-02-22T00:00Z", "2026-03-05T00:00Z")).toEqual([
    "02-23T00:00",
  ]);
  expect(runs("0 0 13 * 5", "Etc/UTC", "2026-02-10T00:00Z", "2026-02-21T00:00Z")).toEqual([
    "02-13T00:00",
    "02-20T00:00",
  ]);
  expect(runs("10-20/5 6 * * 7", "Etc/UTC", "2026-02-22T00:00Z", "2026-02-23T00:00Z")).toEqual([
    "02-22T06:10",
    "02-22T06:15",
    "02-22T06:20",
  ]);
});

test("a run that fell into a pause of the process is seen afterwards", () => {
  const cron = parseCron("0 2 * * *");
  if (cron === undefined) throw new Error("not understood");
  const at = (time: string) => new Date(`2026-06-01T${time}Z`);

  expect(isDue(cron, "Etc/UTC", at("01:59"), at("02:47"))).toBe(true);
  expect(isDue(cron, "Etc/UTC", at("02:00"), at("02:47"))).toBe(false);
});

test.each(["", "* * * *", "60 * * * *", "a * * * *", "5-1 * * * *", "*/0 * * * *", "* * L * *"])(
  "%j is not an expression",
  (text) => {
    expect(parseCron(text)).toBeUndefined();
  },
);
