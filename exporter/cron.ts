/** A cron expression: minute, hour, day of month, month, day of week, with seconds before them on request. */
export interface Cron {
  readonly seconds: ReadonlySet<number>;
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** With both days given, either is enough, as in every cron. */
  readonly eitherDay: boolean;
  /** It runs in every hour, so an hour that is skipped or repeated needs no care. */
  readonly everyHour: boolean;
}

const MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const WEEKDAYS = "sun mon tue wed thu fri sat".split(" ");

/** The smallest and largest value of each field, seconds first. */
const LIMITS = [
  [0, 59],
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

/** Undefined when it is not an expression that is understood: numbers, names, `*`, lists, ranges and steps. */
export function parseCron(text: string): Cron | undefined {
  const given = text.trim().toLowerCase().split(/\s+/);
  const fields = given.length === 5 ? ["0", ...given] : given;
  if (fields.length !== LIMITS.length) return undefined;
  const [second = "", minute = "", hour = "", day = "", month = "", weekday = ""] = fields;
  const numbers = [second, minute, hour, day, withNumbers(month, MONTHS, 1)];
  const sets = [...numbers, withNumbers(weekday, WEEKDAYS, 0)].map((field, index) =>
    parseField(field, LIMITS[index] ?? [0, 0]),
  );
  if (sets.includes(undefined)) return undefined;
  const [seconds, minutes, hours, days, months, weekdays] = sets as Six<Set<number>>;
  if (weekdays.has(7)) weekdays.add(0);
  const eitherDay = !day.startsWith("*") && !weekday.startsWith("*");
  const everyHour = hours.size === 24;
  return { seconds, minutes, hours, days, months, weekdays, eitherDay, everyHour };
}

type Six<T> = [T, T, T, T, T, T];

function withNumbers(field: string, names: readonly string[], first: number): string {
  return field.replace(/[a-z]+/g, (name) => {
    const index = names.indexOf(name.slice(0, 3));
    return index < 0 ? name : String(index + first);
  });
}

function parseField(field: string, [min, max]: readonly [number, number]): Set<number> | undefined {
  const values = new Set<number>();
  for (const item of field.split(",")) {
    const range = parseRange(item, min, max);
    if (range === undefined) return undefined;
    const { from, to, step } = range;
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return values;
}

/** `*`, `n`, `n-m`, each with `/step` on request; `n/step` goes on to the end. */
function parseRange(item: string, min: number, max: number) {
  const [, first, second, stepText] = /^(\*|\d+(?:-(\d+))?)(?:\/(\d+))?$/.exec(item) ?? [];
  if (first === undefined) return undefined;
  const from = first === "*" ? min : Number.parseInt(first, 10);
  const open = first === "*" || stepText !== undefined ? max : from;
  const range = { from, to: Number(second ?? open), step: Number(stepText ?? 1) };
  const fits = from >= min && range.to <= max && from <= range.to && range.step > 0;
  return fits ? range : undefined;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * Whether a run falls behind `after`, up to and with `until`. A time that the clocks skip in spring comes when they have
 * skipped it; one that they repeat in autumn comes once.
 */
export function isDue(cron: Cron, timeZone: string, after: Date, until: Date): boolean {
  const step = cron.seconds.size === 1 && cron.seconds.has(0) ? MINUTE_MS : SECOND_MS;
  const first = (Math.floor(after.getTime() / step) + 1) * step;
  const local = wallClock(timeZone);
  for (let at = first; at <= until.getTime(); at += step) {
    const now = local(at);
    if (cron.everyHour) {
      if (matches(cron, now)) return true;
      continue;
    }
    const before = local(at - step);
    // Wall clock times as if they were UTC: usually one, more when clocks were set forward, none new when they were set back.
    for (let wall = before + step; wall <= now; wall += step) {
      if (matches(cron, wall) && !isRepeated(local, at, now)) return true;
    }
    if (now <= before && matches(cron, now) && !isRepeated(local, at, now)) return true;
  }
  return false;
}

/** The clocks showed this time an hour ago already. */
function isRepeated(local: (at: number) => number, at: number, now: number): boolean {
  return local(at - HOUR_MS) === now || local(at - HOUR_MS / 2) === now;
}

/** Making one takes as long as formatting a thousand times. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const numeric = "numeric";
  const date = { year: numeric, month: numeric, day: numeric } as const;
  const time = { hour: numeric, minute: numeric, second: numeric, hourCycle: "h23" } as const;
  const format = new Intl.DateTimeFormat("en-US", { timeZone, ...date, ...time });
  formats.set(timeZone, format);
  return format;
}

/** The wall clock of a zone, as the UTC time that looks the same. */
function wallClock(timeZone: string): (at: number) => number {
  const format = formatOf(timeZone);
  return (at) => {
    const parts = Object.fromEntries(
      format.formatToParts(at).map(({ type, value }) => [type, Number(value)]),
    );
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  };
}

function matches(cron: Cron, wall: number): boolean {
  const at = new Date(wall);
  const isDay = cron.days.has(at.getUTCDate());
  const isWeekday = cron.weekdays.has(at.getUTCDay());
  return (
    cron.seconds.has(at.getUTCSeconds()) &&
    cron.minutes.has(at.getUTCMinutes()) &&
    cron.hours.has(at.getUTCHours()) &&
    cron.months.has(at.getUTCMonth() + 1) &&
    (cron.eitherDay ? isDay || isWeekday : isDay && isWeekday)
  );
}
