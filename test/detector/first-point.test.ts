import { expect, test } from "@jest/globals";
import { evaluate, type EvaluateDeps } from "../../detector/evaluate.ts";
import { tell } from "../../detector/last-words.ts";
import type { Anomaly } from "../../detector/types/anomaly.ts";
import type { SeriesSamples } from "../../detector/types/source.ts";
import { watchMetric, type WatchedMetric } from "../../detector/watched-metric.ts";
import { silentLog } from "../../lib/log.ts";
import { defaultForest, flat, MINUTE, RULES, valuesOf } from "./given.ts";

const ZERO = Date.parse("2026-11-20T00:00:00Z");
const LABELS = { app: "shop" };
const NOISE = valuesOf(flat, 1000, 4);
const PLAN = { now: ZERO, step: MINUTE, backfillPoints: 600 };

function given(): EvaluateDeps & { readonly scored: number[] } {
  const scored: number[] = [];
  return {
    scored,
    model: { forest: defaultForest(), sha256: "abc", seed: 1, trainedAt: new Date(ZERO) },
    rules: RULES,
    budget: { max: 10, used: 0 },
    metrics: {
      scored: (_metric, points) => void scored.push(points),
      seriesRefused: () => undefined,
      forget: () => undefined,
    },
    log: silentLog,
  };
}

function minutes(from: number, to: number, shiftFrom = Infinity): SeriesSamples {
  const points = [];
  for (let minute = from; minute <= to; minute += 1) {
    const value = (NOISE[minute + 600] ?? NaN) + (minute >= shiftFrom ? 60 : 0);
    points.push({ t: ZERO + minute * MINUTE, value });
  }
  return { labels: LABELS, points };
}

async function see(
  metric: WatchedMetric,
  samples: SeriesSamples,
  deps: EvaluateDeps,
  silent = false,
): Promise<readonly Anomaly[]> {
  const [from, to] = [samples.points[0]?.t ?? 0, samples.points.at(-1)?.t ?? 0];
  const range = { from, to, step: MINUTE };
  const notices = await evaluate(metric, [samples], range, { ...deps, silent });
  return notices.map(({ anomaly }) => anomaly);
}

test("the first point of a series is scored like every other one", async () => {
  const deps = given();
  const resume = { evaluatedUntil: undefined, open: [] };
  const metric = watchMetric({ name: "latency", expr: "x" }, { ...PLAN, resume }, deps.budget);

  await see(metric, minutes(1, 1), deps);

  const [series] = metric.series.values();
  expect(deps.scored).toEqual([1]);
  expect(series).toMatchObject({ bornAt: ZERO + MINUTE, lastAt: ZERO + MINUTE });
  expect(series?.last && tell(series.last).n).toBe(1);
});

test("after a restart in mid-incident the series knows its past from before the incident again", async () => {
  const before = given();
  const nothing = { evaluatedUntil: undefined, open: [] };
  const query = { name: "latency", expr: "x" };
  const watched = watchMetric(query, { ...PLAN, resume: nothing }, before.budget);
  await see(watched, minutes(-600, -20), before, true);
  const [open] = await see(watched, minutes(-19, 0, -10), before);
  if (open === undefined) throw new Error("no anomaly");

  const after = given();
  const resume = { evaluatedUntil: ZERO, open: [JSON.parse(JSON.stringify(open)) as Anomaly] };
  const again = watchMetric(query, { ...PLAN, resume }, after.budget);
  await see(again, minutes(-600, 0, -10), after, true);

  const [uninterrupted] = watched.series.values();
  const [restored] = again.series.values();
  expect(restored?.last).toEqual(uninterrupted?.last);
  expect(restored).toMatchObject({ bornAt: ZERO - 600 * MINUTE, anomaly: { id: open.id } });
});
