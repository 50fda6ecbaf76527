import { CommandFailure, EXIT } from "./exit-code.ts";

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
  ["w", 604_800_000],
]);

/**
 * `--from` and `--to`: an RFC 3339 time, or how long ago (`30d`, `6h`). Milliseconds since 1970.
 *
 * @throws CommandFailure that names the option
 */
export function parsePeriod(
  { from, to }: { readonly from: string; readonly to: string },
  now: number,
): { readonly from: number; readonly to: number } {
  const period = { from: parseMoment("--from", from, now), to: parseMoment("--to", to, now) };
  if (period.to <= period.from) throw new CommandFailure(EXIT.usage, "--to must be after --from");
  return period;
}

function parseMoment(option: string, text: string, now: number): number {
  if (text === "now") return now;
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined)
    return now - Number(count) * (UNIT_MS.get(unit) ?? 0);
  const time = parseTime(text);
  if (Number.isNaN(time)) {
    throw new CommandFailure(
      EXIT.usage,
      `${option} must be a time (2026-11-21T03:00:00Z) or an age (30d, 6h), got ${JSON.stringify(text)}`,
    );
  }
  return time;
}

/** RFC 3339, or a day in UTC; NaN for a day that the month does not have, which `Date` would take for a later one. */
function parseTime(text: string): number {
  const [, day = ""] =
    /^(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/i.exec(text) ?? [];
  const start = Date.parse(`${day}T00:00:00Z`);
  const exists = !Number.isNaN(start) && new Date(start).toISOString().startsWith(day);
  return exists ? Date.parse(text) : NaN;
}
