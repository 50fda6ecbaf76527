import { expect, test } from "@jest/globals";
import { Registry } from "prom-client";
import { runCycle, type BackfillProgress, type CycleDeps } from "../../detector/cycle.ts";
import { QueryError } from "../../detector/faults.ts";
import { tell } from "../../detector/last-words.ts";
import { createDetectorMetrics } from "../../detector/metrics.ts";
import type { Anomaly } from "../../detector/types/anomaly.ts";
import type { SeriesSamples, StepRange } from "../../detector/types/source.ts";
import type { Resume } from "../../detector/types/store.ts";
import { watchMetric, type WatchedMetric } from "../../detector/watched-metric.ts";
import { silentLog } from "../../lib/log.ts";
import { defaultForest, flat, MINUTE, RULES, valuesOf } from "./given.ts";

/** Minute 0 of all tests, and how much past the source has before it. */
const ZERO = Date.parse("2026-11-20T00:00:00Z");
const PAST = 600;
const NOISE = valuesOf(flat, 4000, 1);

interface World {
  minute: number;
  down: boolean;
  readonly registry: Registry;
  readonly ranges: StepRange[];
  readonly sent: string[];
  readonly seen: Anomaly[];
  readonly progress: BackfillProgress[];
  readonly metric: WatchedMetric;
  /** Runs cycles up to and including a minute, one per minute. */
  to(minute: number): Promise<void>;
}

interface Source {
  readonly labels: Record<string, string>;
  readonly value: (minute: number, noise: number) => number | undefined;
}

interface Start {
  readonly resume?: Resume;
  readonly maxSeries?: number;
  readonly at?: number;
  readonly targetDown?: boolean;
}

function given(sources: readonly Source[], start: Start = {}): World {
  const step = MINUTE;
  const budget = { max: start.maxSeries ?? 100, used: 0 };
  const registry = new Registry();
  const metrics = createDetectorMetrics(registry);
  const at = start.at ?? 0;
  const metric = watchMetric(
    { name: "latency", expr: "x" },
    {
      resume: start.resume ?? { evaluatedUntil: undefined, open: [] },
      now: ZERO + at * step,
      step,
      backfillPoints: PAST,
    },
    budget,
  );
  const world: World = {
    minute: at,
    down: false,
    registry,
    ranges: [],
    sent: [],
    seen: [],
    progress: [],
    metric,
    to: async (minute) => {
      for (; world.minute < minute;) {
        world.minute += 1;
        await runCycle([metric], deps);
      }
    },
  };
  const deps: CycleDeps = {
    source: {
      query: async (_expr, range) => {
        if (world.down) throw new QueryError("unavailable", "down");
        world.ranges.push(range);
        return sources.flatMap((source) => samplesOf(source, range));
      },
    },
    signal: new AbortController().signal,
    model: { forest: defaultForest(), sha256: "abc", seed: 1, trainedAt: new Date(ZERO) },
    rules: RULES,
    pageThreshold: 0.85,
    downTargets: async () => () => start.targetDown ?? false,
    journal: {
      open: async () => "stored",
      close: async () => "stored",
      flush: async () => undefined,
    },
    outbox: {
      add: (anomaly, status) =>
        void world.sent.push(`${status} ${anomaly.reason} ${anomaly.labels["pod"] ?? ""}`.trim()),
    },
    onAnomaly: (anomaly) => void world.seen.push(anomaly),
    features: undefined,
    onProgress: (progress) => void world.progress.push(progress),
    clock: {
      now: () => new Date(ZERO + world.minute * MINUTE + 1234),
      sleep: () => Promise.reject(new Error("no sleep")),
    },
    log: silentLog,
    budget,
    metrics,
    step,
  };
  return world;
}

function samplesOf({ labels, value }: Source, { from, to, step }: StepRange): SeriesSamples[] {
  const points = [];
  for (let t = from; t <= to; t += step) {
    const minute = (t - ZERO) / MINUTE;
    const sample = value(minute, NOISE[minute + PAST + 100] ?? NaN);
    if (sample !== undefined) points.push({ t, value: sample });
  }
  return points.length === 0 ? [] : [{ labels, points }];
}

const healthy: Source = { labels: { app: "shop" }, value: (_minute, noise) => noise };
const shifted = (from: number, to = Infinity): Source => ({
  labels: { app: "shop", namespace: "prod" },
  value: (minute, noise) => (minute >= from && minute < to ? noise + 60 : noise),
});

test("a level shift is published within 3 cycles, shown in the metrics, and resolved when it ends", async () => {
  const world = given([shifted(10, 40)]);

  await world.to(12);
  expect(world.sent).toEqual(["firing level_shift"]);
  expect(world.seen[0]).toMatchObject({
    metric: "latency",
    namespace: "prod",
    app: "shop",
    direction: "up",
    openedAt: ZERO + 10 * MINUTE,
  });
  expect(world.seen[0]?.sparkline).toHaveLength(40);
  const page = await world.registry.metrics();
  const id = world.seen[0]?.series ?? "";
  expect(page).toContain(`aiops_anomaly_current{metric="latency",series="${id}"} 1`);
  expect(page).toContain(
    `aiops_anomaly_info{metric="latency",series="${id}",reason="level_shift",namespace="prod",app="shop"} 1`,
  );
  expect(page).toMatch(
    /aiops_anomaly_zscore\{metric="latency",series="[0-9a-f]+",window="288"\} \d/,
  );
  expect(page).toMatch(/aiops_anomaly_delta\{metric="latency",series="[0-9a-f]+"\} [56]\d/);

  await world.to(50);
  expect(world.sent).toEqual(["firing level_shift", "resolved level_shift"]);
  expect(world.seen[1]).toMatchObject({ closeCause: "recovered", closedAt: ZERO + 44 * MINUTE });
  const after = await world.registry.metrics();
  expect(after).toContain(`aiops_anomaly_current{metric="latency",series="${id}"} 0`);
  expect(after).not.toContain("aiops_anomaly_info{");
});

test("the first start reads the past in silence, reports its progress, and asks each minute once", async () => {
  const world = given([shifted(-300, -200)]);

  await world.to(5);

  expect(world.sent).toEqual([]);
  expect(world.progress.at(-1)).toMatchObject({
    metric: "latency",
    done: world.progress.at(-1)?.total,
  });
  const minutes = world.ranges.flatMap(({ from, to, step }) =>
    Array.from({ length: (to - from) / step + 1 }, (_, i) => (from - ZERO) / step + i),
  );
  expect(minutes).toEqual(Array.from({ length: PAST + 5 }, (_, i) => i - PAST + 1));
});

test("an incident of the past that nobody watched is not raised, one that has just begun is", async () => {
  const old = given([shifted(-30)]);
  const fresh = given([shifted(0)]);

  await old.to(20);
  await fresh.to(2);

  expect(old.sent).toEqual([]);
  expect(fresh.sent).toEqual(["firing level_shift"]);
});

test("while Prometheus does not answer nothing is absent; afterwards every minute is made up for", async () => {
  const world = given([shifted(14)]);
  await world.to(5);
  world.down = true;
  await world.to(20);
  expect(world.sent).toEqual([]);
  expect(world.metric.fault?.kind).toBe("unavailable");
  expect(await world.registry.metrics()).toContain(
    'aiops_query_errors_total{metric="latency",kind="unavailable"} 15',
  );

  world.down = false;
  await world.to(21);

  expect(world.sent).toEqual(["firing level_shift"]);
  expect(world.seen[0]?.openedAt).toBe(ZERO + 14 * MINUTE);
  expect(world.metric.fault).toBeUndefined();
  expect(world.ranges.at(-1)).toEqual({
    from: ZERO + 6 * MINUTE,
    to: ZERO + 21 * MINUTE,
    step: MINUTE,
  });
});

test("a cycle that runs late gives the same anomaly as cycles on time", async () => {
  const onTime = given([shifted(10)]);
  const late = given([shifted(10)]);

  await onTime.to(30);
  await late.to(8);
  late.minute = 29;
  await late.to(30);

  const [a, b] = [onTime.seen[0], late.seen[0]];
  expect({ ...b, sparkline: "" }).toEqual({ ...a, sparkline: "" });
});

test("a restart in mid-incident keeps the episode: no second alert, the same end", async () => {
  const before = given([shifted(10, 40)]);
  await before.to(20);
  const open = before.seen[0] as Anomaly;
  const resume = {
    evaluatedUntil: ZERO + 20 * MINUTE,
    open: [JSON.parse(JSON.stringify(open)) as Anomaly],
  };

  const after = given([shifted(10, 40)], { resume, at: 25 });
  await after.to(30);
  expect(after.sent).toEqual([]);
  expect(await after.registry.metrics()).toMatch(/aiops_anomaly_current\{[^}]+\} 1/);
  await after.to(60);

  expect(after.sent).toEqual(["resolved level_shift"]);
  expect(after.seen[0]).toMatchObject({ id: open.id, closedAt: ZERO + 44 * MINUTE });
});

test("an incident that began while we were down is raised after the restart", async () => {
  const world = given([shifted(10)], {
    resume: { evaluatedUntil: ZERO + 5 * MINUTE, open: [] },
    at: 25,
  });

  await world.to(26);

  expect(world.sent).toEqual(["firing level_shift"]);
});

test("a series that vanishes is absent after three steps, and comes back", async () => {
  const gone: Source = {
    ...healthy,
    value: (minute, noise) => (minute >= 10 && minute < 30 ? undefined : noise),
  };
  const world = given([gone]);

  await world.to(12);
  expect(world.sent).toEqual(["firing absent"]);
  expect(world.seen[0]?.openedAt).toBe(ZERO + 12 * MINUTE);
  await world.to(31);

  expect(world.sent).toEqual(["firing absent", "resolved absent"]);
});

test("a series whose target is down is told as stale_scrape, to the end", async () => {
  const gone: Source = {
    ...healthy,
    value: (minute, noise) => (minute >= 10 && minute < 30 ? undefined : noise),
  };
  const world = given([gone], { targetDown: true });

  await world.to(31);

  expect(world.sent).toEqual(["firing stale_scrape", "resolved stale_scrape"]);
  expect(world.seen[0]).toMatchObject({ severity: "critical", step: MINUTE });
});

test("an incident that began and ended while nobody looked is told in the same words both times", async () => {
  const world = given([shifted(14, 20)], { targetDown: true });
  await world.to(5);
  world.down = true;
  await world.to(40);
  world.down = false;
  await world.to(41);

  const [opened, closed] = world.seen;
  expect(world.sent).toEqual(["firing level_shift", "resolved level_shift"]);
  expect(closed).toEqual({ ...opened, closedAt: closed?.closedAt, closeCause: "recovered" });
});

test("a pod that is replaced by a new one is not missed, and its metrics go away", async () => {
  const world = given([
    { labels: { pod: "old" }, value: (minute, noise) => (minute < 10 ? noise : undefined) },
    { labels: { pod: "new" }, value: (minute, noise) => (minute >= 11 ? noise : undefined) },
  ]);

  await world.to(30);

  expect(world.sent).toEqual([]);
  expect([...world.metric.series.values()].map(({ labels }) => labels["pod"])).toEqual(["new"]);
  expect((await world.registry.metrics()).match(/aiops_anomaly_current\{/g)).toHaveLength(1);
});

test("a series that was gone before our watch began is not missed", async () => {
  const world = given([
    healthy,
    { labels: { pod: "old" }, value: (minute, noise) => (minute < -100 ? noise : undefined) },
  ]);

  await world.to(20);

  expect(world.sent).toEqual([]);
  expect(world.metric.series.size).toBe(1);
});

test("values that are not numbers are neither scored nor absent", async () => {
  const world = given([{ ...healthy, value: (minute, noise) => (minute >= 10 ? NaN : noise) }]);

  await world.to(40);

  expect(world.sent).toEqual([]);
  const [series] = world.metric.series.values();
  expect(series?.last && tell(series.last).t).toBe(ZERO + 9 * MINUTE);
});

test("series above the cap are refused with a counter, those below go on", async () => {
  const pods = ["a", "b", "c"].map((pod): Source => ({
    labels: { pod },
    value: shifted(10).value,
  }));
  const world = given(pods, { maxSeries: 2 });

  await world.to(12);

  expect(world.sent).toEqual(["firing level_shift a", "firing level_shift b"]);
  expect(await world.registry.metrics()).toMatch(
    /aiops_series_refused_total\{metric="latency"\} [1-9]/,
  );
});
