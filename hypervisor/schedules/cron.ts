import { CronExpressionParser } from "cron-parser";

/** Minute, hour, day, month, weekday: no seconds, and nothing that is drawn by lot (`H`). */
const FIVE_FIELDS = /^[\d*,/?LW#A-GI-Za-gi-z-]+( [\d*,/?LW#A-GI-Za-gi-z-]+){4}$/;

/** What is wrong with a schedule's time, in words; undefined when nothing is. */
export function cronProblem(cron: string, timeZone: string): string | undefined {
  if (!isTimeZone(timeZone)) return "time_zone: must be a time zone like Europe/Zagreb";
  if (!FIVE_FIELDS.test(cron) || nextRuns(cron, timeZone, new Date(), 1).length === 0)
    return "cron: must be five fields, such as 30 2 * * *, that come to pass";
  return undefined;
}

/**
 * The next times after `after`. Where clocks are set forward a run comes at the next time that there is, where they are set back it
 * comes once (node-cron leaves both out).
 */
export function nextRuns(
  cron: string,
  timeZone: string,
  after: Date,
  count: number,
): readonly Date[] {
  try {
    const times = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: after });
    return Array.from({ length: count }, () => times.next().toDate());
  } catch {
    return []; // the 31st of February
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
