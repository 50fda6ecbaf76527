import { setImmediate } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { Registry } from "prom-client";
import { GroupLeases } from "../../detector/group-leases.ts";
import { createDetectorMetrics } from "../../detector/metrics.ts";
import { runForever } from "../../detector/run-forever.ts";
import { WatchedGroups } from "../../detector/watched-groups.ts";
import { silentLog } from "../../lib/log.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fakeGroups, type FakeGroups } from "../fakes/group-table.ts";
import { MINUTE, RULES } from "./given.ts";

const ZERO = Date.parse("2026-11-20T00:00:00Z");
const PAST = 30;

/** A replica that watches `quick` and `slow`; the answers about `slow` wait while the test says so. */
async function given(groups: FakeGroups, replica: string) {
  const slow = { waits: false, go: () => undefined as unknown };
  const clock = fakeClock(new Date(ZERO));
  const beats = fakeClock(new Date(ZERO));
  const registry = new Registry();
  const metrics = createDetectorMetrics(registry);
  const budget = { max: 100, used: 0 };
  const leases = new GroupLeases({
    ...{ table: groups.tableOf(replica), replica, log: silentLog, counted: metrics },
    ...{ metrics: ["quick", "slow"], times: { leaseMs: 60_000, beatMs: 1_000 }, clock: beats },
  });
  const watchedGroups = new WatchedGroups(
    ["quick", "slow"].map((name) => ({ name, expr: name })),
    {
      ...{ leases, store: undefined, metrics, clock, step: MINUTE, backfillPoints: PAST },
      ...{ budget, log: silentLog },
    },
  );
  await leases.begin();
  await watchedGroups.follow();
  const stopping = new AbortController();
  const running = runForever({
    source: {
      query: async (expr, { from, to, step }) => {
        if (expr === "slow" && slow.waits) await new Promise((go) => (slow.go = go as () => void));
        const points = [];
        for (let t = from; t <= to; t += step) points.push({ t, value: t % 7 });
        return [{ labels: { app: expr }, points }];
      },
    },
    ...{ groups: watchedGroups, leases, metrics, budget, clock, log: silentLog },
    ...{ rules: RULES, pageThreshold: 0.85, step: MINUTE, signal: stopping.signal },
    model: { current: () => undefined, refresh: async () => undefined },
    journal: {
      open: async () => "stored",
      close: async () => "stored",
      flush: async () => undefined,
      isWritten: () => true,
    },
    outbox: { add: () => undefined },
    downTargets: async () => () => false,
    ...{ onAnomaly: () => undefined, onProgress: () => undefined, features: undefined },
  });
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  };
  await turns();
  const until = (metric: string) =>
    watchedGroups.watched.find(({ query }) => query.name === metric)?.evaluatedUntil;
  return {
    ...{ slow, budget, groups: watchedGroups, leases },
    /** Minutes that a metric is evaluated to; undefined when it is not watched. */
    minutes: (metric: string) => {
      const at = until(metric);
      return at === undefined ? undefined : (at - ZERO) / MINUTE;
    },
    shows: async (metric: string) =>
      new RegExp(`^aiops_anomaly_current\\{metric="${metric}"`, "m").test(await registry.metrics()),
    cycle: async () => {
      await clock.advance(MINUTE);
      await turns();
    },
    beat: async () => {
      await beats.advance(1_000);
      await turns();
    },
    stop: async () => {
      stopping.abort();
      slow.go();
      await running;
      await leases.stop();
    },
  };
}

/** Somebody owns `slow`, and dies when the test says so. */
async function givenOther(groups: FakeGroups) {
  const table = groups.tableOf("other");
  await table.beat(["slow"], []);
  await table.take("slow", { abandoned: false });
}

test("the past of what is taken over is read beside the cycles, which go on; then it joins them", async () => {
  const groups = fakeGroups();
  await givenOther(groups);
  const me = await given(groups, "me");
  expect([me.minutes("quick"), me.minutes("slow")]).toEqual([0, undefined]);
  expect(me.groups.shown.map(({ watcher }) => watcher)).toEqual([undefined, "another"]);

  me.slow.waits = true;
  groups.expire("other");
  await me.beat();
  await me.cycle();
  await me.cycle();
  expect([me.minutes("quick"), me.minutes("slow")]).toEqual([2, -PAST]);

  me.slow.waits = false;
  me.slow.go();
  await me.cycle();
  await me.cycle();

  expect([me.minutes("quick"), me.minutes("slow")]).toEqual([4, 4]);
  expect(await me.shows("slow")).toBe(true);
  await me.stop();
});

test("what is lost while it is being evaluated is dropped when that ends, with its series and their room", async () => {
  const groups = fakeGroups();
  const me = await given(groups, "me");
  expect(me.budget.used).toBe(2);
  me.slow.waits = true;
  await me.cycle();
  groups.expire("me");
  await groups.tableOf("other").take("slow", { abandoned: true });
  await me.beat();
  expect(me.leases.places().here).toEqual(["quick"]);
  expect(me.minutes("slow")).toBe(0);

  me.slow.go();
  await me.cycle();

  expect(me.minutes("slow")).toBeUndefined();
  expect([await me.shows("quick"), await me.shows("slow")]).toEqual([true, false]);
  expect(me.budget.used).toBe(1);
  await me.stop();
});

test("a group that was lost and comes back begins anew, from its past", async () => {
  const groups = fakeGroups();
  const me = await given(groups, "me");
  const before = me.groups.watched.find(({ query }) => query.name === "slow");
  groups.expire("me");
  await groups.tableOf("other").take("slow", { abandoned: true });
  await me.beat();
  expect(me.minutes("slow")).toBeUndefined();

  await groups.tableOf("other").leave();
  await me.beat();
  await me.beat();

  expect(me.minutes("slow")).toBe(0);
  expect(me.groups.watched).not.toContain(before);
  await me.stop();
});
