import { expect, jest, test } from "@jest/globals";
import { readExporterConfig } from "../../exporter/main.ts";
import { scheduleExports } from "../../exporter/schedule.ts";
import { clocksChanged } from "../../exporter/time-zone.ts";
import { silentLog } from "../../lib/log.ts";

const HOUR_MS = 3_600_000;

/** The full hours of these days at which a run is begun because clocks changed before them. */
function changes(timeZone: string, from: string, to: string): string[] {
  const found: string[] = [];
  for (let at = Date.parse(from); at < Date.parse(to); at += HOUR_MS)
    if (clocksChanged(timeZone, new Date(at))) found.push(new Date(at).toISOString());
  return found;
}

test("a run is begun when the clocks of the zone have been set forward, and back, and at no other time", () => {
  // 2026-10-25 03:00 CEST becomes 02:00 CET, and 2027-03-28 02:00 CET becomes 03:00 CEST, both at 01:00 UTC.
  expect(changes("Europe/Zagreb", "2026-06-01T00:00Z", "2027-06-01T00:00Z")).toEqual([
    "2026-10-25T01:00:00.000Z",
    "2027-03-28T01:00:00.000Z",
  ]);
  expect(changes("Etc/UTC", "2026-06-01T00:00Z", "2027-06-01T00:00Z")).toEqual([]);
  expect(changes("Asia/Kolkata", "2026-06-01T00:00Z", "2027-06-01T00:00Z")).toEqual([]);
});

test("zones whose clocks change by half an hour, at half past an hour of UTC, are seen at the next full hour", () => {
  expect(changes("Australia/Lord_Howe", "2026-10-01T00:00Z", "2026-10-10T00:00Z")).toEqual([
    "2026-10-03T16:00:00.000Z",
  ]);
});

test.each(["* * * *", "60 * * * *", "a * * * *", "*/0 * * * *", "0 0 31 *"])(
  "%j is no cron expression, and stops the start",
  (expression) => {
    expect(() =>
      readExporterConfig({ AIOPS_DATABASE_URL: "mock", AUDIT_EXPORT_CRON: expression }),
    ).toThrow(/AUDIT_EXPORT_CRON: must be a cron expression/);
  },
);

test.each(["15 1 * * *", "*/30 * * * *", "0 0 * jan-feb mon", "0 30 6 * * 7"])(
  "%j is a cron expression",
  (expression) => {
    const config = readExporterConfig({
      AIOPS_DATABASE_URL: "mock",
      AUDIT_ENCRYPTION: "off",
      AUDIT_EXPORT_DIR: "/tmp/any",
      AUDIT_EXPORT_CRON: expression,
    });

    expect(config.cron).toBe(expression);
  },
);

/** When runs begin, with the clock at `from` and everything done at once until `to`. */
async function runs(cron: string, from: string, to: string): Promise<string[]> {
  jest.useFakeTimers({ now: Date.parse(from) });
  try {
    const found: string[] = [];
    const schedule = scheduleExports(
      { cron, timeZone: "Europe/Zagreb", immediately: false },
      {
        run: async () => {
          found.push(new Date().toISOString().slice(5, 16));
          return Promise.resolve();
        },
        clock: { sleep: async () => Promise.resolve() },
        log: silentLog,
      },
    );
    await jest.advanceTimersByTimeAsync(Date.parse(to) - Date.parse(from));
    await schedule.stop();
    return found;
  } finally {
    jest.useRealTimers();
  }
}

test("a run at a time that the clocks skip in spring comes when they have skipped it", async () => {
  expect(await runs("30 2 * * *", "2027-03-26T12:00Z", "2027-03-29T12:00Z")).toEqual([
    "03-27T01:30",
    "03-28T01:00", // 03:00 CEST, an instant after 02:00 CET
    "03-29T00:30",
  ]);
});

test("when the clocks repeat an hour in autumn, what runs hourly goes on at its end", async () => {
  const found = await runs("0 * * * *", "2026-10-24T22:30Z", "2026-10-25T03:30Z");

  // node-cron leaves 00:00 out, and its run at 01:00 meets the one for the change of the clocks.
  expect([...new Set(found)]).toEqual(["10-24T23:00", "10-25T01:00", "10-25T02:00", "10-25T03:00"]);
});

test("a daily run is there once on the day when an hour is repeated, and once more for the change", async () => {
  expect(await runs("30 2 * * *", "2026-10-24T12:00Z", "2026-10-26T12:00Z")).toEqual([
    "10-25T01:00",
    "10-25T01:30", // the second 02:30 of that night
    "10-26T01:30",
  ]);
});
