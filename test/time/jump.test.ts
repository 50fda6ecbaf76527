import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { signOnUntil, type ClockCheck } from "../../runbooks/instance.ts";
import { fakeClock } from "../fakes/clock.ts";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { brokenInvariants } from "../fault/invariants.ts";
import { metricOf } from "../fault/measure.ts";
import { givenSurroundings, type Surroundings } from "../fault/surroundings.ts";

const HOURS = 2;
const APPS = ["early", "late", "right"] as const;

let around: Surroundings;
beforeAll(async () => {
  around = await givenSurroundings({ apps: [...APPS] });
});
afterAll(async () => around.stop());

/** Loaded before the process's own code: its clock goes wrong by that much. */
function shiftedClock(ms: number): string {
  const code = `
    const now = Date.now;
    Date.now = () => now() + ${ms};
    globalThis.Date = new Proxy(Date, {
      construct: (target, args) => args.length === 0 ? new target(now() + ${ms}) : new target(...args),
    });`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}

/** A replica of its own whose clock is wrong by so many hours. One action an hour for each target, however it reads. */
async function replica(hours: number): Promise<FettleProcess> {
  return startFettle("runbooks", "RUNBOOKS_PORT", {
    ...around.env,
    RUNBOOK_CIRCUIT_MAX_HOURLY: "1",
    RUNBOOK_COOLDOWN_SECONDS: "0",
    NODE_OPTIONS: shiftedClock(hours * 3_600_000),
  });
}

/** One incident from its alert to its end, or as far as the breaker lets it. */
async function incident(url: string, app: string): Promise<string | undefined> {
  await around.deliver(url, "firing", app);
  await waitUntil("a decision", async () =>
    /^(approval_pending|skipped_circuit)$/.test((await around.stateOf(app)) ?? ""),
  );
  if ((await around.stateOf(app)) === "approval_pending") {
    expect(await around.approve(url, app)).toBe(200);
    await waitUntil("the action", async () => (await around.stateOf(app)) === "verifying");
  }
  await around.deliver(url, "resolved", app);
  await waitUntil("the end", async () => isOver(app));
  return around.stateOf(app);
}

/** The run, and the delivery that told of the alert's end. */
async function isOver(app: string): Promise<boolean> {
  const { rows } = await around.database.query<{ over: boolean }>(
    `SELECT finished_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM inbox WHERE processed_at IS NULL) AS over
       FROM runs WHERE app = $1 ORDER BY created_at DESC LIMIT 1`,
    [app],
  );
  return rows[0]?.over === true;
}

/** The alert's next time: the same bytes would be a repeat. */
async function forgetDeliveries(): Promise<void> {
  await around.database.query("DELETE FROM inbox");
  await around.database.query("DELETE FROM episodes");
}

test.each([HOURS, -HOURS])(
  "a replica whose clock is %d h off says so, and does no more than the limit",
  async (hours) => {
    const app = hours > 0 ? "early" : "late";
    const wrong = await replica(hours);
    try {
      expect(await incident(wrong.url, app)).toBe("succeeded");
      await forgetDeliveries();
      expect(await incident(wrong.url, app)).toBe("skipped_circuit");

      await waitUntil("the clock to be compared", async () => {
        const skew = await metricOf(wrong.url, "runbooks_clock_skew_seconds");
        return Math.abs(skew - hours * 3_600) < 50;
      });
      const ready = await fetch(`${wrong.url}/ready`);
      expect(ready.status).toBe(200);
      expect(await ready.json()).toMatchObject({
        ready: true,
        checks: {
          clock: {
            ok: false,
            detail: `the clock is 120 min ${hours > 0 ? "ahead of" : "behind"} the database's: Slack's clicks and signed alerts will be refused`,
          },
        },
      });
      await waitUntil("a word in the log", async () =>
        wrong.output().includes("this machine's clock is wrong"),
      );
      const { rows } = await around.database.query<{ skew: number }>(
        "SELECT skew_ms / 1000 AS skew FROM instances",
      );
      expect(rows).toEqual([{ skew: expect.closeTo(hours * 3600, -2) }]);
    } finally {
      await wrong.stop();
    }
    const limits = { hourly: 1, daily: 10 };
    expect(await brokenInvariants({ ...around, limits, output: wrong.output })).toEqual([]);
  },
  120_000,
);

test("what a replica with a wrong clock has used is used for the others as well", async () => {
  const [early, late] = await Promise.all([replica(HOURS), replica(-HOURS)]);
  try {
    expect(await incident(early.url, "right")).toBe("succeeded");
    await forgetDeliveries();
    expect(await incident(late.url, "right")).toBe("skipped_circuit");
  } finally {
    await Promise.all([early.stop(), late.stop()]);
  }
});

test.each<[number, string | undefined]>([
  [0, undefined],
  [29_000, undefined],
  [31_000, "the clock is more than 30 s ahead of the database's"],
  [-45_000, "the clock is more than 30 s behind the database's"],
  [
    -301_000,
    "the clock is 5 min behind the database's: Slack's clicks and signed alerts will be refused",
  ],
])("a clock that is %d ms off is said in words", async (offMs, detail) => {
  const clock = fakeClock(new Date(Date.now() + offMs));
  const stopping = new AbortController();
  const checks: ClockCheck[] = [];
  const seconds: number[] = [];
  const instance = { id: "ins_t", role: "both", host: "h", pid: 1, version: "0" } as const;
  const signedOn = signOnUntil(stopping.signal, instance, {
    database: around.database,
    clock,
    log: silentLog,
    wrote: () => undefined,
    skewed: (value) => void seconds.push(value),
    onCheck: (check) => void checks.push(check),
  });
  await waitUntil("the first look", async () => clock.sleepers === 1);
  stopping.abort();
  await signedOn;

  expect(checks.map((check) => check.detail)).toEqual([detail]);
  expect(seconds).toEqual([expect.closeTo(offMs / 1000, 0)]);
  const { rowCount } = await around.database.query("SELECT 1 FROM instances WHERE id = 'ins_t'");
  expect(rowCount).toBe(0);
});
