import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { backtest, HOUR, MINUTE, pastAlert, START, UNASKED } from "./given.ts";

const minute = (number: number) => new Date(START + number * MINUTE).toISOString();

test("asks, acts five and a half minutes later, and says for which app and on which day", async () => {
  const { policy } = await backtest([pastAlert(0, 60)]);

  expect(policy.tally).toMatchObject({
    alerts: 1,
    firstAt: minute(0),
    runs: 1,
    actions: 1,
    approvals: { asked: 1, resolvedBeforeAnswer: 0, expired: 0 },
    fates: { "asks for rollout_restart": 1 },
    apps: [{ app: "shop/checkout", asked: 1, actions: 1, selfResolved: 0 }],
    days: [{ day: "2026-11-02", app: "shop/checkout", action: "rollout_restart", actions: 1 }],
    lines: [{ key: "env", text: "latency_p99=rollout_restart", asked: 1, actions: 1 }],
  });
});

test.each([
  ["before anybody answered", 4, 1],
  ["between the answer and the action", 5.2, 0],
])("does not act on an alert that resolved by itself %s", async (_when, lasts, before) => {
  const { tally } = (await backtest([pastAlert(0, lasts)])).policy;

  expect(tally.actions).toBe(0);
  expect(tally.selfResolved).toMatchObject({ count: 1, of: 1 });
  expect(tally.approvals).toMatchObject({ asked: 1, resolvedBeforeAnswer: before });
});

test("a second alert joins the run, which then lasts until both are over", async () => {
  const { tally } = (await backtest([pastAlert(0, 2), pastAlert(1, 60, { pod: "b" })])).policy;

  expect(tally).toMatchObject({ runs: 1, actions: 1 });
  expect(tally.fates).toEqual({ "asks for rollout_restart": 1, "joined a run": 1 });
});

test("a run whose alerts are over has ended: the next alert waits until the target has rested", async () => {
  // The first run ends at minute 2, long before anybody would have answered; the target rests until minute 17.
  const { tally } = (await backtest([pastAlert(0, 2), pastAlert(3, 60)])).policy;

  expect(tally).toMatchObject({ runs: 2, actions: 1, selfResolved: { count: 1, of: 2 } });
  expect(tally.fates).toEqual({
    "asks for rollout_restart": 1,
    "postponed while its target rested": 1,
  });
});

test("an alert that is over when its target has rested opens no run", async () => {
  const { tally } = (await backtest([pastAlert(0, 2), pastAlert(3, 5)])).policy;

  expect(tally.runs).toBe(1);
  expect(tally.fates).toMatchObject({ "resolved while its target rested": 1 });
});

test("postponed alerts of one target open one run together", async () => {
  const alerts = [pastAlert(0, 2), pastAlert(3, 60, { pod: "a" }), pastAlert(4, 90, { pod: "b" })];
  const { tally } = (await backtest(alerts)).policy;

  expect(tally).toMatchObject({ runs: 2, actions: 1 });
});

test("the breaker refuses the fourth action of an hour, and has room again an hour after the first", async () => {
  const alerts = [0, 10, 20, 30, 61].map((at) => pastAlert(at, 5));
  const { tally } = (await backtest(alerts, { ...UNASKED, cooldownSeconds: 0 })).policy;

  expect(tally.actions).toBe(4);
  expect(tally.breaker).toEqual({ trips: 1, refusals: 1 });
  expect(tally.apps).toMatchObject([{ breakerTrips: 1, breakerRefusals: 1 }]);
});

test("the apps' breaker counts the actions on all of its workloads", async () => {
  const alerts = [0, 1, 2, 3].map((number) =>
    pastAlert(number * 10, 5, { deployment: `checkout-${String(number)}` }),
  );
  const { tally } = (await backtest(alerts, UNASKED)).policy;

  expect(tally).toMatchObject({ actions: 3, breaker: { refusals: 1 } });
});

test("a request that nobody answers in time expires, and nothing is done", async () => {
  const { tally } = (await backtest([pastAlert(0, 60)], { approvalDelaySeconds: 1200 })).policy;

  expect(tally).toMatchObject({ actions: 0, approvals: { asked: 1, expired: 1 } });
});

test("a line in shadow mode acts on nothing, and says how often its alerts resolved by themselves", async () => {
  const { tally } = (
    await backtest([pastAlert(0, 2), pastAlert(60, 60)], {
      policy: "latency_p99=rollout_restart{mode=shadow}",
    })
  ).policy;

  expect(tally.actions).toBe(0);
  expect(tally.lines).toMatchObject([{ watched: 2, selfResolved: { count: 1, of: 2 } }]);
});

test("nothing is done when more targets got alerts within ten minutes than are allowed", async () => {
  const alerts = Array.from({ length: 8 }, (_, number) =>
    pastAlert(number, 60, { namespace: `team-${String(number)}` }),
  );
  const { tally } = (await backtest(alerts, UNASKED)).policy;

  expect(tally.fates).toEqual({ "does rollout_restart": 5, skipped_max_unhealthy: 3 });
});

test("targets that got their alerts ten minutes ago are forgotten", async () => {
  const alerts = Array.from({ length: 8 }, (_, number) =>
    pastAlert(number * 3, 60, { namespace: `team-${String(number)}` }),
  );

  expect((await backtest(alerts, UNASKED)).policy.tally.actions).toBe(8);
});

test("sick targets of a namespace count only as long as their alerts fire", async () => {
  const sick = (number: number) => ({ app: `app-${String(number)}` });
  const apart = [0, 20, 40].map((at, number) => pastAlert(at, 15, sick(number)));
  const together = [0, 20, 40].map((at, number) => pastAlert(at, 90, sick(number)));

  expect((await backtest(apart, UNASKED)).policy.tally.actions).toBe(3);
  expect((await backtest(together, UNASKED)).policy.tally.fates).toMatchObject({
    skipped_max_unhealthy: 1,
  });
  expect((await backtest(together, { ...UNASKED, workloads: 30 })).policy.tally.actions).toBe(3);
});

test("alerts without runbook, target or rule are counted as such", async () => {
  const { tally } = (
    await backtest([
      pastAlert(0, 1, { alertname: "Watchdog" }),
      pastAlert(1, 1, { app: "No Such Name" }),
      pastAlert(2, 1, { metric: "cost" }),
    ])
  ).policy;

  expect(tally.fates).toEqual({ "no runbook": 1, "no target": 1, skipped_no_policy: 1 });
  expect(tally.withoutRule).toEqual({ "cost:level_shift": 1 });
});

test("the difference names lines, actions, and the first alert that goes another way", async () => {
  const { difference } = await backtest(
    [pastAlert(0, 60), pastAlert(100, 60, { metric: "cost", app: "pay" })],
    {
      policy: "latency_p99=rollout_restart{mode=shadow};cost=rollout_restart",
      against: "latency_p99=rollout_restart;crashloop=rollout_restart",
    },
  );

  expect(difference).toEqual({
    lines: [
      expect.objectContaining({ change: "added", on: "cost" }),
      expect.objectContaining({ change: "removed", on: "crashloop" }),
      expect.objectContaining({ change: "changed", on: "latency_p99" }),
    ],
    actions: [
      { app: "shop/checkout", action: "rollout_restart", old: 1, new: 0 },
      { app: "shop/pay", action: "rollout_restart", old: 0, new: 1 },
    ],
    fates: [
      expect.objectContaining({
        old: "asks for rollout_restart",
        new: "only watches for rollout_restart",
        alerts: 1,
        first: expect.stringContaining(minute(0)),
      }),
      expect.objectContaining({ old: "skipped_no_policy", new: "asks for rollout_restart" }),
    ],
  });
});

test("a policy compared with itself changes nothing, whatever the alerts", async () => {
  await fc.assert(
    fc.asyncProperty(pastAlerts, async (alerts) => {
      const policy = "latency_p99=rollout_restart{mode=auto,cooldown=20m}";
      const {
        difference,
        against,
        policy: same,
      } = await backtest(alerts, {
        ...UNASKED,
        policy,
        against: policy,
      });

      expect(difference).toEqual({ lines: [], actions: [], fates: [] });
      expect(against?.tally).toEqual(same.tally);
    }),
    { numRuns: 50 },
  );
});

test("equal input has an equal hash, and never more actions than the breaker allows", async () => {
  await fc.assert(
    fc.asyncProperty(pastAlerts, async (alerts) => {
      const change = { ...UNASKED, cooldownSeconds: 60 };
      const [one, other] = [await backtest(alerts, change), await backtest(alerts, change)];

      expect(one.sha256).toBe(other.sha256);
      expect(one.policy.tally.alerts).toBe(alerts.length);
      const hours = 24;
      expect(one.policy.tally.actions).toBeLessThanOrEqual(3 * (hours + 2) * 2);
      for (const { actions } of one.policy.tally.days) expect(actions).toBeLessThanOrEqual(10 * 2);
    }),
    { numRuns: 50 },
  );
});

test("another input, policy or setting has another hash", async () => {
  const alerts = [pastAlert(0, 60)];
  const reports = [
    await backtest(alerts),
    await backtest([pastAlert(1, 60)]),
    await backtest(alerts, { policy: "latency_p99=rollout_restart{mode=auto}" }),
    await backtest(alerts, { actionDelaySeconds: 31 }),
  ];

  expect(new Set(reports.map(({ sha256 }) => sha256)).size).toBe(reports.length);
});

const pastAlerts = fc
  .array(
    fc.record({
      minutes: fc.integer({ min: 0, max: (24 * HOUR) / MINUTE }),
      lasts: fc.integer({ min: 0, max: 300 }),
      app: fc.constantFrom("checkout", "pay"),
    }),
    { maxLength: 60 },
  )
  .map((alerts) =>
    alerts
      .toSorted((one, other) => one.minutes - other.minutes)
      .map(({ minutes, lasts, app }) => pastAlert(minutes, lasts, { app })),
  );
