import { readFileSync } from "node:fs";
import { PointsError, parseTime } from "./csv-points.ts";

/** A time in which a person says that something was wrong. Milliseconds since 1970. */
export interface IncidentWindow {
  /** The configured metric's name. */
  readonly metric: string;
  readonly from: number;
  readonly to: number;
}

const HEADER = "metric,from,to";

/**
 * Reads `metric,from,to` lines (with a header): RFC 3339 times.
 *
 * @param metrics the configured names; a window of another metric would be about nothing
 * @throws PointsError that names the line
 */
export function readWindows(path: string, metrics: readonly string[]): readonly IncidentWindow[] {
  const [header = "", ...lines] = readFileSync(path, "utf8")
    .replace(/^\u{FEFF}/u, "")
    .split(/\r?\n/);
  if (header.replaceAll(" ", "") !== HEADER) {
    throw new PointsError(`${path}:1: expected the header ${HEADER}, got ${quoted(header)}`);
  }
  return lines.flatMap((line, index) =>
    line.trim() === "" ? [] : [parseWindow(line, `${path}:${index + 2}`, metrics)],
  );
}

function parseWindow(line: string, place: string, metrics: readonly string[]): IncidentWindow {
  const [metric = "", begin = "", end = "", ...rest] = line.split(",").map((cell) => cell.trim());
  const [from, to] = [parseTime(begin), parseTime(end)];
  if (metric === "" || rest.length > 0 || Number.isNaN(from) || !(to > from)) {
    throw new PointsError(`${place}: expected ${HEADER} with to after from, got ${quoted(line)}`);
  }
  if (!metrics.includes(metric)) {
    throw new PointsError(
      `${place}: ${quoted(metric)} is no configured metric; there are ${metrics.join(", ")}`,
    );
  }
  return { metric, from, to };
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
