import { describe, expect, test } from "@jest/globals";
import { evaluate } from "../../detector/evaluate.ts";
import { readDefaultModel } from "../../detector/default-model.ts";
import { openModel } from "../../detector/model.ts";
import { mulberry32 } from "../../detector/random.ts";
import type { Anomaly } from "../../detector/types/anomaly.ts";
import type { Point } from "../../detector/types/scoring.ts";
import type { MetricSource } from "../../detector/types/source.ts";
import { verifyAnomaly, type Verification } from "../../detector/verify.ts";
import { watchMetric } from "../../detector/watched-metric.ts";
import { silentLog } from "../../lib/log.ts";
import { MINUTE, RULES } from "./given.ts";
import { gaussian } from "./shapes.ts";

const model = openModel(await readDefaultModel());
const LABELS = { app: "checkout" };
const METRIC = { name: "latency", expr: "latency" };

interface Lived {
  readonly anomaly: Anomaly;
  readonly points: readonly Point[];
}

/**
 * A series that was quiet for so many points, and then five times as high, as the running detector meets it.
 *
 * @param gap minutes between the first point and the others
 */
async function live(quiet: number, gap = 0): Promise<Lived> {
  const random = mulberry32(quiet);
  const points = Array.from({ length: quiet + 5 }, (_, index) => ({
    t: (index === 0 ? 0 : index + gap) * MINUTE,
    value: (100 + 3 * gaussian(random)) * (index < quiet ? 1 : 5),
  }));
  const budget = { max: 10, used: 0 };
  const resume = { evaluatedUntil: undefined, open: [] };
  const plan = { resume, now: 0, step: MINUTE, backfillPoints: 0 };
  const metric = watchMetric(METRIC, plan, budget);
  const counted = { scored: () => 0, seriesRefused: () => 0, forget: () => 0 };
  const notices = await evaluate(
    metric,
    [{ labels: LABELS, points }],
    { from: 0, to: points.at(-1)?.t ?? 0, step: MINUTE },
    { ...{ model, budget, rules: RULES, metrics: counted, log: silentLog }, silent: false },
  );
  const published = notices.findLast(({ kind }) => kind === "published");
  if (published === undefined) throw new Error("nothing was found");
  return { anomaly: { ...published.anomaly, step: MINUTE }, points };
}

/** A Prometheus that has these points, and says what it was asked for. */
function sourceOf(points: readonly Point[]): MetricSource & { readonly asked: number[] } {
  const asked: number[] = [];
  return {
    asked,
    query: async (_expr, { from, to }) => {
      asked.push(from);
      return [{ labels: LABELS, points: points.filter(({ t }) => t >= from && t <= to) }];
    },
  };
}

async function verify(
  anomaly: Anomaly,
  points: readonly Point[],
  memory = anomaly.memory,
): Promise<Verification> {
  return verifyAnomaly(anomaly, {
    source: sourceOf(points),
    findModel: async () => model,
    memoryOf: async () => memory,
  });
}

test("a young series is scored again from its first point on", async () => {
  const { anomaly, points } = await live(2_000);

  expect(anomaly.memory).toBeUndefined();
  expect(await verify(anomaly, points)).toMatchObject({
    ...{ verdict: "equal", basis: "history", differences: [] },
    asked: { expr: "latency", from: 0, to: 2_000 * MINUTE, step: MINUTE },
  });
});

describe("an old series", () => {
  // 33 days ago it had its first point; a month of points would take a busy machine a minute.
  const lived = live(10_200, 33 * 1440 - 10_200);

  test("of a series that has lived for more than four weeks, every number comes out the same", async () => {
    const { anomaly, points } = await lived;
    const again = await verify(anomaly, points);

    expect(again).toMatchObject({ verdict: "equal", basis: "memory", differences: [] });
    // The newest values that the scorer remembered, and every number of the explanation.
    expect("compared" in again && again.compared).toBeGreaterThan(252 + 100);
  });

  test("the record goes through the database as text and bytes, and still comes out the same", async () => {
    const { anomaly, points } = await lived;
    const { memory, ...row } = anomaly;
    const read = JSON.parse(JSON.stringify(row)) as Anomaly;

    const again = await verify(read, points, Buffer.from(memory ?? []));

    expect(again).toMatchObject({ verdict: "equal", differences: [] });
  });

  test("a value that Prometheus gives differently now is named, the one before the opening as well as the opening", async () => {
    const { anomaly, points } = await lived;
    const changed = (back: number) =>
      points.map((point) =>
        point.t === anomaly.openedAt - back * MINUTE ? { ...point, value: 7 } : point,
      );
    const names = (found: Verification) =>
      "differences" in found ? found.differences.map(({ name }) => name) : [];

    expect(names(await verify(anomaly, changed(3)))).toEqual(["before.3"]);
    expect(names(await verify(anomaly, changed(0)))).toEqual(
      expect.arrayContaining(["value", "score", "streams.level"]),
    );
  });

  test("without what the scorer knew, or with what another version knew, nothing is claimed", async () => {
    const { anomaly, points } = await lived;
    const strange = new Uint8Array(anomaly.memory ?? []).fill(9, 0, 8);
    const why = expect.stringContaining("more than four weeks") as unknown as string;

    expect(await verify({ ...anomaly, memory: undefined }, points)).toEqual({
      ...{ verdict: "cannot_verify", why },
    });
    expect(await verify(anomaly, points, strange)).toEqual({ verdict: "cannot_verify", why });
    expect(await verify(anomaly, points, strange.slice(8))).toEqual({
      ...{ verdict: "cannot_verify", why },
    });
  });
});

test("where Prometheus has forgotten the first weeks, what the scorer knew takes their place", async () => {
  const { anomaly, points } = await live(10_200);
  const kept = points.slice(4_000);

  expect(await verify(anomaly, points)).toMatchObject({ verdict: "equal", basis: "history" });
  expect(await verify(anomaly, kept)).toMatchObject({ verdict: "equal", basis: "memory" });
  expect(await verify({ ...anomaly, memory: undefined }, kept)).toEqual({
    ...{
      verdict: "cannot_verify",
      why: "Prometheus no longer has the series' points of that time.",
    },
  });
});
