import type { ChangeWindow } from "../types/policy.ts";

const DAYS: readonly string[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY = 1_440;

/**
 * Reads `mon-fri 08:00-18:00 Europe/Zagreb`: days (`daily`, `sat`, `mon-fri`, `mon+thu`), the people's own wall clock, and
 * where they are (UTC when left out). A window whose end is before its start ends the next day.
 *
 * @returns what was expected, as a text, when it cannot be read
 */
export function parseWindow(text: string): ChangeWindow | string {
  const [dayText = "", times = "", zone = "UTC", ...rest] = text.split(/\s+/);
  const days = daysOf(dayText.toLowerCase());
  const [from, to] = times.split("-").map(minutesOf);
  if (days === undefined || from === undefined || to === undefined || rest.length > 0)
    return `a window is "mon-fri 08:00-18:00 Europe/Zagreb", not ${JSON.stringify(text)}`;
  if (from === to || from === MINUTES_OF_DAY)
    return `the window ${JSON.stringify(times)} is empty; the whole day is 00:00-24:00`;
  if (!isZone(zone)) return `${JSON.stringify(zone)} is no time zone (such as Europe/Zagreb)`;
  return { days, from, to, zone, text };
}

function daysOf(text: string): readonly number[] | undefined {
  if (text === "daily") return [1, 2, 3, 4, 5, 6, 7];
  const found = text.split("+").map((part) => {
    const [first = "", last = first, ...rest] = part.split("-");
    const [from, to] = [DAYS.indexOf(first), DAYS.indexOf(last)];
    if (from < 0 || to < 0 || rest.length > 0) return undefined;
    const length = ((to - from + 7) % 7) + 1; // fri-mon goes over the week's end
    return Array.from({ length }, (_, at) => ((from + at) % 7) + 1);
  });
  if (found.includes(undefined)) return undefined;
  return [...new Set(found.flatMap((days) => days ?? []))].sort((a, b) => a - b);
}

function minutesOf(text: string): number | undefined {
  const [, hours, minutes] = /^(\d\d):(\d\d)$/.exec(text) ?? [];
  const [hour, minute] = [Number(hours), Number(minutes)];
  const total = hour * 60 + minute;
  return hour <= 24 && minute < 60 && total <= MINUTES_OF_DAY ? total : undefined;
}

function isZone(zone: string): boolean {
  try {
    clockOf(zone);
    return true;
  } catch {
    return false; // RangeError
  }
}

/** Making one costs 50 µs, and there are only as many as the policy names zones. */
const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(zone: string): Intl.DateTimeFormat {
  const known = clocks.get(zone);
  if (known !== undefined) return known;
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  clocks.set(zone, clock);
  return clock;
}

/** Whether a change may be made at this moment: no window at all means at any time. Wall clock, so DST moves it with the people. */
export function isOpen(windows: readonly ChangeWindow[], now: Date): boolean {
  return windows.length === 0 || windows.some((window) => covers(window, now));
}

function covers({ days, from, to, zone }: ChangeWindow, now: Date): boolean {
  const parts = new Map(
    clockOf(zone)
      .formatToParts(now)
      .map(({ type, value }) => [type, value]),
  );
  const day = DAYS.indexOf((parts.get("weekday") ?? "").toLowerCase()) + 1;
  const minute = Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
  if (from < to) return days.includes(day) && minute >= from && minute < to;
  const yesterday = day === 1 ? 7 : day - 1;
  return (days.includes(day) && minute >= from) || (days.includes(yesterday) && minute < to);
}
