/** How many are kept: the newest ones, and the newest of each of the last days, weeks (ISO) and months that have one. */
export interface Keep {
  readonly last: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

export interface Made {
  readonly snapshot: string;
  readonly createdAt: Date;
}

export interface Decision extends Made {
  /** Why it is kept: `newest`, `last`, `daily 2026-11-21`, …; none: it is deleted. */
  readonly reasons: readonly string[];
}

/** Decides about snapshots that are whole, the newest first. The newest is kept whatever the rules say. */
export function retain(made: readonly Made[], keep: Keep, timeZone: string): readonly Decision[] {
  const newestFirst = made.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  const rules = [
    { name: "daily", left: keep.daily, periodOf: dayOf, seen: "" },
    { name: "weekly", left: keep.weekly, periodOf: weekOf, seen: "" },
    { name: "monthly", left: keep.monthly, periodOf: monthOf, seen: "" },
  ];
  return newestFirst.map((each, at) => {
    const reasons: string[] = at === 0 ? ["newest"] : [];
    if (at < keep.last) reasons.push("last");
    const date = dateIn(timeZone, each.createdAt);
    for (const rule of rules) {
      const period = rule.periodOf(date);
      if (rule.left === 0 || period === rule.seen) continue;
      rule.left -= 1;
      rule.seen = period;
      reasons.push(`${rule.name} ${period}`);
    }
    return { ...each, reasons };
  });
}

interface LocalDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

function dateIn(timeZone: string, at: Date): LocalDate {
  const format = new Intl.DateTimeFormat("en", {
    timeZone,
    year: "numeric",
    month: "numeric",
    day: "numeric",
  });
  const parts = Object.fromEntries(
    format.formatToParts(at).map(({ type, value }) => [type, value]),
  );
  return { year: Number(parts["year"]), month: Number(parts["month"]), day: Number(parts["day"]) };
}

function dayOf({ year, month, day }: LocalDate): string {
  return new Date(Date.UTC(year, month - 1, day)).toISOString().slice(0, 10);
}

function monthOf(date: LocalDate): string {
  return dayOf(date).slice(0, 7);
}

const DAY_MS = 86_400_000;

/** ISO 8601: a week belongs to the year of its Thursday. */
function weekOf({ year, month, day }: LocalDate): string {
  const midnight = Date.UTC(year, month - 1, day);
  const weekday = (new Date(midnight).getUTCDay() + 6) % 7; // Monday is 0
  const thursday = new Date(midnight + (3 - weekday) * DAY_MS);
  const first = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = Math.floor((thursday.getTime() - first) / DAY_MS / 7) + 1;
  return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, "0")}`;
}
