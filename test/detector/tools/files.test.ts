import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { parsePoints, stepOf } from "../../../detector/tools/csv-points.ts";
import { readWindows } from "../../../detector/tools/windows.ts";

test("reads RFC 3339, plain UTC and Unix times, with or without a header, and gaps", () => {
  const points = parsePoints(
    "timestamp,value\n2026-11-21T03:00:00Z,1\r\n2026-11-21 03:01:00,2.5e3\n1795230120,NaN\n2026-11-21T03:03:00+00:00,\n",
  );

  expect(points.map(({ t }) => new Date(t).toISOString().slice(11, 16))).toEqual([
    "03:00",
    "03:01",
    "03:02",
    "03:03",
  ]);
  expect(points.map(({ value }) => value)).toEqual([1, 2500, NaN, NaN]);
  expect(stepOf(points)).toBe(60_000);
});

test.each([
  ["", "there are no points"],
  ["timestamp,value\n", "there are no points"],
  [
    "2026-11-21T03:00:00Z,1\n2026-11-21T03:00:00Z,2",
    "line 2: the time does not come after the line before",
  ],
  ["2026-11-21T03:00:00Z", "line 1: expected timestamp,value"],
  ["2026-11-21T03:00:00Z,1,2", "line 1: expected timestamp,value"],
  ["2026-13-41T03:00:00Z,1", 'line 1: "2026-13-41T03:00:00Z" is no time'],
  ["2026-02-31 03:00:00,1", 'line 1: "2026-02-31 03:00:00" is no time'],
  ["2026-11-21 5:00,1", 'line 1: "2026-11-21 5:00" is no time'],
  ["2026-11-21 garbage,1", 'line 1: "2026-11-21 garbage" is no time'],
  ["2026-11-21T03:00:00Z,0x1g", 'line 1: "0x1g" is no number'],
  ["\u0000\u0001\u0002", "line 1: expected timestamp,value"],
])("refuses %j and names the line", (text, message) => {
  expect(() => parsePoints(text)).toThrow(message);
});

function file(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "windows-")), "labels.csv");
  writeFileSync(path, text);
  return path;
}

const METRICS = ["errors", "latency"];

test("reads labelled incidents", () => {
  expect(
    readWindows(
      file("metric, from, to\nlatency,2026-11-21T03:00:00Z,2026-11-21T03:10:00Z\n\n"),
      METRICS,
    ),
  ).toEqual([
    { metric: "latency", from: Date.UTC(2026, 10, 21, 3), to: Date.UTC(2026, 10, 21, 3, 10) },
  ]);
});

test.each([
  "latency,2026-11-21T03:00:00Z",
  "latency,x,y",
  "latency,2026-02-31T03:00:00Z,2026-03-31T04:00:00Z",
  "latency,2026-11-21T03:00:00Z,2026-11-21T02:00:00Z",
  ",2026-11-21T03:00:00Z,2026-11-21T04:00:00Z",
])("refuses the incident %j with its place", (line) => {
  expect(() => readWindows(file(`metric,from,to\n${line}\n`), METRICS)).toThrow(
    /labels\.csv:2: expected metric,from,to/,
  );
});

test.each([
  ["latency,2026-11-21T03:00:00Z,2026-11-21T04:00:00Z\n", /:1: expected the header metric,from,to/],
  ["metric,from,until\n", /:1: expected the header metric,from,to, got "metric,from,until"/],
  ["", /:1: expected the header metric,from,to, got ""/],
  [
    "metric,from,to\nlatancy,2026-11-21T03:00:00Z,2026-11-21T04:00:00Z\n",
    /:2: "latancy" is no configured metric; there are errors, latency/,
  ],
])("refuses %j, which would be silently about nothing", (text, message) => {
  expect(() => readWindows(file(text), METRICS)).toThrow(message);
});
