import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { cronProblem, nextRuns } from "../../../hypervisor/schedules/cron.ts";
import { retain, type Made } from "../../../hypervisor/schedules/retain.ts";

const NONE = { last: 0, daily: 0, weekly: 0, monthly: 0 };

function at(...times: readonly string[]): Made[] {
  return times.map((time) => ({ snapshot: time, createdAt: new Date(time) }));
}

function kept(made: readonly Made[], keep: Partial<typeof NONE>, zone = "Etc/UTC") {
  return retain(made, { ...NONE, ...keep }, zone)
    .filter(({ reasons }) => reasons.length > 0)
    .map(({ snapshot, reasons }) => `${snapshot}: ${reasons.join(", ")}`);
}

describe("retention", () => {
  test("keeps the last ones, and the newest of each day, week and month that has one", () => {
    const made = at(
      ...["2026-11-21T12:00:00Z", "2026-11-21T06:00:00Z", "2026-11-20T12:00:00Z"],
      ...["2026-11-13T12:00:00Z", "2026-10-31T12:00:00Z", "2025-12-31T12:00:00Z"],
    );

    expect(kept(made, { last: 2, daily: 2, weekly: 3, monthly: 3 })).toEqual([
      "2026-11-21T12:00:00Z: newest, last, daily 2026-11-21, weekly 2026-W47, monthly 2026-11",
      "2026-11-21T06:00:00Z: last",
      "2026-11-20T12:00:00Z: daily 2026-11-20",
      "2026-11-13T12:00:00Z: weekly 2026-W46",
      "2026-10-31T12:00:00Z: weekly 2026-W44, monthly 2026-10",
      "2025-12-31T12:00:00Z: monthly 2025-12",
    ]);
  });

  test("days and weeks are those of the schedule's time zone, and weeks those of ISO 8601", () => {
    const made = at("2027-01-01T04:00:00Z", "2026-12-31T23:30:00Z", "2026-12-27T12:00:00Z");

    expect(kept(made, { daily: 2 })).toHaveLength(2);
    expect(kept(made, { daily: 2 }, "Europe/Berlin")).toEqual([
      "2027-01-01T04:00:00Z: newest, daily 2027-01-01",
      "2026-12-27T12:00:00Z: daily 2026-12-27",
    ]);
    expect(kept(made, { weekly: 2 })).toEqual([
      "2027-01-01T04:00:00Z: newest, weekly 2026-W53",
      "2026-12-27T12:00:00Z: weekly 2026-W52",
    ]);
  });

  test("whatever the rules and the times are, the newest stays, no rule keeps too many, and time never brings one back", () => {
    const times = fc.array(fc.integer({ min: 0, max: 400 * 24 }), { maxLength: 60 });
    const count = fc.integer({ min: 0, max: 8 });
    const keeps = fc.record({ last: count, daily: count, weekly: count, monthly: count });
    fc.assert(
      fc.property(times, keeps, (hours, keep) => {
        const made = hours.map((hour, index) => ({
          snapshot: `s${index}`,
          createdAt: new Date(Date.UTC(2026, 0, 1, hour)),
        }));
        const decisions = retain(made, keep, "Pacific/Auckland");
        const staying = decisions.filter(({ reasons }) => reasons.length > 0);
        const newest = Math.max(...made.map(({ createdAt }) => createdAt.getTime()));
        expect(decisions).toHaveLength(made.length);
        expect(staying[0]?.createdAt.getTime() ?? -Infinity).toBe(newest);
        const bound = keep.last + keep.daily + keep.weekly + keep.monthly;
        expect(staying.length).toBeLessThanOrEqual(Math.max(bound, 1));
        // To prune again what was pruned deletes nothing.
        expect(retain(staying, keep, "Pacific/Auckland").map(({ snapshot }) => snapshot)).toEqual(
          staying.map(({ snapshot }) => snapshot),
        );
      }),
      { numRuns: 200 },
    );
  });
});

test("runs by the clock of the zone: not lost when it is set forward, not doubled when it is set back", () => {
  const days = (after: string) =>
    nextRuns("30 2 * * *", "Europe/Berlin", new Date(after), 2).map((each) => each.toISOString());

  expect(days("2026-03-28T12:00:00Z")).toEqual([
    "2026-03-29T01:30:00.000Z",
    "2026-03-30T00:30:00.000Z",
  ]);
  expect(days("2026-10-24T12:00:00Z")).toEqual([
    "2026-10-25T00:30:00.000Z",
    "2026-10-26T01:30:00.000Z",
  ]);
});

test.each([
  ["* * * * * *", "Etc/UTC", /^cron:/], // seconds
  ["H H * * *", "Etc/UTC", /^cron:/],
  ["0 0 31 2 *", "Etc/UTC", /^cron:/],
  ["61 * * * *", "Etc/UTC", /^cron:/],
  ["", "Etc/UTC", /^cron:/],
  ["0 0 * * *", "Mars/Base", /^time_zone:/],
])("refuses %j in %s", (cron, zone, problem) => {
  expect(cronProblem(cron, zone)).toMatch(problem);
});

test.each(["*/5 * * * *", "0 2 * * MON-FRI", "0 0 1,15 * *", "0 0 L * *"])("takes %j", (cron) => {
  expect(cronProblem(cron, "Europe/Zagreb")).toBe(undefined);
});
