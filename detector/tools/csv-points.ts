import { messageOf } from "../../lib/error.ts";
import type { Point } from "../types/scoring.ts";

/** A file that is no series: the line, and what was expected. */
export class PointsError extends Error {
  override readonly name = "PointsError";
}

const LINES_MAX = 5_000_000;

/**
 * Reads `timestamp,value` lines (with or without a header): RFC 3339 or `YYYY-MM-DD hh:mm:ss` in UTC, or Unix seconds.
 * `NaN`, `+Inf` and an empty value are gaps.
 *
 * @throws PointsError that names the line
 */
export function parsePoints(text: string): readonly Point[] {
  const lines = text.replace(/^\u{FEFF}/u, "").split(/\r?\n/, LINES_MAX);
  const points: Point[] = [];
  lines.forEach((line, index) => {
    if (line.trim() === "" || (index === 0 && /^"?[a-z]{3}/i.test(line.trim()))) return;
    const point = parseLine(line, index + 1);
    const before = points.at(-1);
    if (before !== undefined && point.t <= before.t) {
      throw new PointsError(`line ${index + 1}: the time does not come after the line before`);
    }
    points.push(point);
  });
  if (points.length === 0)
    throw new PointsError("there are no points; expected lines of timestamp,value");
  return points;
}

/** @throws PointsError that names the line */
export function parseLine(line: string, number: number): Point {
  const [time = "", value, ...rest] = line.split(",").map((cell) => cell.trim());
  if (value === undefined || rest.length > 0) {
    throw new PointsError(
      `line ${number}: expected timestamp,value, got ${JSON.stringify(line.slice(0, 60))}`,
    );
  }
  const t = parseTime(time);
  if (Number.isNaN(t)) {
    throw new PointsError(`line ${number}: ${JSON.stringify(time.slice(0, 40))} is no time`);
  }
  const parsed = /^([+-]?inf(inity)?|nan|)$/i.test(value) ? NaN : Number(value);
  if (Number.isNaN(parsed) && !/^([+-]?inf(inity)?|nan|)$/i.test(value)) {
    throw new PointsError(`line ${number}: ${JSON.stringify(value.slice(0, 40))} is no number`);
  }
  return { t, value: parsed };
}

/** Milliseconds since 1970, or NaN. */
export function parseTime(text: string): number {
  if (/^\d{9,11}(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  const [day = ""] = /^\d{4}-\d\d-\d\d/.exec(text) ?? [];
  const start = Date.parse(`${day}T00:00:00Z`);
  // `Date` takes a day that the month does not have for a later one.
  if (Number.isNaN(start) || !new Date(start).toISOString().startsWith(day)) return NaN;
  const plain = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)$/.exec(text);
  if (plain !== null) return Date.parse(`${plain[1] ?? ""}T${plain[2] ?? ""}Z`);
  return /(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : NaN; // without a zone it would be the machine's
}

/** The usual distance between points, in milliseconds: the median, so that gaps do not count. */
export function stepOf(points: readonly Point[]): number {
  const gaps = points.slice(1).map(({ t }, index) => t - (points[index]?.t ?? t));
  return gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 60_000;
}

/** Says what went wrong with a file, by its name. */
export function inFile(path: string, error: unknown): PointsError {
  return new PointsError(`${path}: ${messageOf(error)}`, { cause: error });
}
