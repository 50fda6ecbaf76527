import { readFileSync } from "node:fs";
import { PointsError, parseTime } from "./csv-points.ts";

/** A time in which a person says that something was wrong. Milliseconds since 1970. */
export interface IncidentWindow {
  /** The configured metric's name. */
  readonly metric: string;
  readonly from: number;
  readonly to: number;
}

/**
 * Reads `metric,from,to` lines (with a header): RFC 3339 times.
 *
 * @throws PointsError that names the line
 */
export function readWindows(path: string): readonly IncidentWindow[] {
  const [, ...lines] = readFileSync(path, "utf8").split(/\r?\n/);
  return lines.flatMap((line, index) =>
    line.trim() === "" ? [] : [parseWindow(line, `${path}:${index + 2}`)],
  );
}

function parseWindow(line: string, place: string): IncidentWindow {
  const [metric = "", begin = "", end = "", ...rest] = line.split(",").map((cell) => cell.trim());
  const [from, to] = [parseTime(begin), parseTime(end)];
  if (metric === "" || rest.length > 0 || Number.isNaN(from) || !(to > from)) {
    throw new PointsError(
      `${place}: expected metric,from,to with to after from, got ${JSON.stringify(line.slice(0, 80))}`,
    );
  }
  return { metric, from, to };
}
