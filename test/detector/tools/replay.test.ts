import { expect, test } from "@jest/globals";
import { openModel, trainDefaultModel } from "../../../detector/model.ts";
import { mulberry32 } from "../../../detector/random.ts";
import { replayByRules, replaySeries } from "../../../detector/replay.ts";
import { episodeRules } from "../../../detector/rules.ts";
import { backtest } from "../../../detector/tools/backtest.ts";
import { compareModels } from "../../../detector/tools/compare.ts";
import { readHistory, type MetricHistory } from "../../../detector/tools/history.ts";
import { judge } from "../../../detector/tools/judge.ts";
import { retrain } from "../../../detector/tools/retrain.ts";
import type { StepRange } from "../../../detector/types/source.ts";
import type { Point } from "../../../detector/types/scoring.ts";

const MINUTE = 60_000;
const model = openModel(trainDefaultModel(new Date(0)));
const rules = episodeRules({
  scoreThreshold: 0.65,
  zThreshold: 3,
  volatilityMultiple: 3,
  percentThreshold: 5,
  warmupPoints: 300,
  newNormalPoints: 4032,
});
const options = { forest: model.forest, rules, step: MINUTE };

/** A noisy flat series with an incident between two of its points. */
function series(
  length: number,
  incident?: { from: number; to: number; add: number },
  seed = 1,
): readonly Point[] {
  const random = mulberry32(seed);
  return Array.from({ length }, (_, at) => {
    const extra =
      incident !== undefined && at >= incident.from && at < incident.to ? incident.add : 0;
    return { t: at * MINUTE, value: 100 + 6 * (random() - 0.5) + extra };
  });
}

function history(...all: readonly (readonly Point[])[]): readonly MetricHistory[] {
  const samples = all.map((points, at) => ({ labels: { pod: `p${at}` }, points }));
  return [{ query: { name: "latency", expr: "latency" }, series: samples }];
}

test("tells of an incident when it happens, and when it is over", () => {
  const [episode, ...more] = replaySeries(
    series(2_500, { from: 2_000, to: 2_100, add: 60 }),
    options,
  );

  expect(more).toEqual([]);
  expect(episode).toMatchObject({
    openedAt: 2_000 * MINUTE,
    cause: "recovered",
    episode: { naming: { reason: "level_shift" } },
  });
  expect(episode?.publishedAt).toBeLessThanOrEqual(2_003 * MINUTE);
  expect(episode?.closedAt).toBeGreaterThanOrEqual(2_100 * MINUTE);
});

test("misses the steps of a gap as the running detector does", () => {
  const points = series(2_500).filter(({ t }) => t < 2_000 * MINUTE || t > 2_030 * MINUTE);

  const episodes = replaySeries(points, options);

  expect(episodes).toMatchObject([
    { episode: { naming: { reason: "absent" } }, cause: "recovered" },
  ]);
});

test("points without a number are there all the same, however many: nothing is missed", () => {
  const points = series(1000).map(({ t, value }, at) => ({ t, value: at < 500 ? value : NaN }));

  expect(replaySeries(points, options)).toEqual([]);
});

test("says nothing of a clean past, and the same every time", () => {
  const points = series(4_000);

  expect(replaySeries(points, options)).toEqual([]);
  expect(replaySeries(points, options)).toEqual(replaySeries(points, options));
});

test("judges alerts against what people say was wrong", async () => {
  const past = history(
    series(2_500, { from: 2_000, to: 2_100, add: 60 }),
    series(2_500, { from: 1_500, to: 1_560, add: -70 }, 2),
  );
  const windows = [
    { metric: "latency", from: 1_995 * MINUTE, to: 2_100 * MINUTE },
    { metric: "latency", from: 100 * MINUTE, to: 200 * MINUTE },
  ];

  const { judgement } = await backtest(past, windows, options);

  expect(judgement).toMatchObject({
    series: 2,
    points: 5_000,
    alerts: 2,
    byReason: { level_shift: 2 },
  });
  expect(judgement.labelled).toMatchObject({ windows: 2, found: 1, recall: 0.5, precision: 0.5 });
  expect(judgement.labelled?.medianDelaySeconds).toBeLessThanOrEqual(8 * 60);
});

test("without labels and without series there is nothing to divide by", () => {
  expect(judge([], undefined)).toMatchObject({
    alertsPerDay: 0,
    alertsPerSeriesDay: 0,
    labelled: undefined,
  });
  expect(judge([], [])).toMatchObject({
    labelled: { recall: 0, precision: undefined, medianDelaySeconds: undefined },
  });
});

const training = {
  champion: model,
  rules,
  step: MINUTE,
  seed: 7,
  trees: 50,
  now: new Date(0),
  masks: [],
};

test("a challenger that learned from a clean past is no worse, and says where it comes from", () => {
  const { challenger, rows, comparison } = retrain(
    history(series(4_000), series(4_000, undefined, 2)),
    training,
  );

  expect(rows).toBeGreaterThan(1_000);
  expect(challenger.parameters).toMatchObject({
    pool: "own",
    parent: model.sha256,
    rows,
    window: { from: "1970-01-01T00:00:00.000Z" },
  });
  expect(comparison.planted).toBe(6);
  expect(comparison.challenger.found).toBeGreaterThanOrEqual(comparison.champion.found);
});

test("leaves masked times out of what is learned", () => {
  const mask = { metric: "latency", from: 0, to: 2_000 * MINUTE, cause: "file" } as const;
  const other = { ...mask, metric: "errors" };
  const { rows, masked, masks, challenger } = retrain(history(series(8_000)), {
    ...training,
    masks: [mask, other],
  });

  expect(masked).toBeGreaterThan(200);
  const asked = Math.floor(8_000 / 7) - Math.floor(299 / 7);
  expect(rows + masked).toBeLessThanOrEqual(asked);
  expect(rows + masked).toBeGreaterThan(0.98 * asked); // without those that were of ranks
  const shown = { from: "1970-01-01T00:00:00.000Z", to: "1970-01-02T09:20:00.000Z" };
  expect(masks).toEqual({ windows: 1, list: [{ metric: "latency", cause: "file", ...shown }] });
  expect(challenger.parameters).toMatchObject({ masked, masks });
});

test("a challenger that comes out as the champion itself does not take over", () => {
  const past = history(series(4_000));
  const { sha256 } = retrain(past, training).challenger;

  const again = retrain(past, { ...training, champion: { ...model, sha256 } });

  expect(again.challenger.sha256).toBe(sha256);
  expect(again.comparison).toMatchObject({ promote: false, why: "it is the champion" });
});

test("one life under two sets of rules is both lives under one", () => {
  const points = [
    ...series(2_500, { from: 2_000, to: 2_100, add: 8 }),
    ...series(3_000, { from: 2_800, to: 2_900, add: 60 }).slice(2_600),
  ];
  const lanes = [0.3, 0.65, 0.95].map((threshold) => ({ ...rules, threshold }));

  const together = replayByRules(points, lanes, options);

  expect(together).toEqual(lanes.map((own) => replaySeries(points, { ...options, rules: own })));
  expect(new Set(together.map((episodes) => episodes.length)).size).toBeGreaterThan(1);
});

test("refuses to learn from too little", () => {
  expect(() => retrain(history(series(1_000)), training)).toThrow(
    /rows to learn from, 512 are needed/,
  );
});

/** The same trees on another published scale: far away everything looks usual, nearby a little novelty is strange. */
function scaled(share: number): typeof model {
  const { rawAtZeros, rawAtOnes } = model.forest;
  return {
    ...model,
    forest: { ...model.forest, rawAtOnes: rawAtZeros + share * (rawAtOnes - rawAtZeros) },
  };
}

test.each([
  [
    "finds less",
    { champion: model, challenger: scaled(1e6) },
    /^it finds 0 planted incidents, the champion 3$/,
  ],
  [
    "raises more alerts",
    { champion: scaled(1e6), challenger: scaled(0.1) },
    /^it raises [1-9]\d* alerts, the champion 0$/,
  ],
])(
  "a challenger that %s is not promoted, and the reason names both figures",
  (_name, models, why) => {
    const comparison = compareModels(history(series(4_000)), models, { rules, step: MINUTE });

    expect(comparison.promote).toBe(false);
    expect(comparison.why).toMatch(why);
  },
);

test("nothing to compare on promotes nothing", () => {
  expect(
    compareModels([], { champion: model, challenger: model }, { rules, step: MINUTE }),
  ).toMatchObject({
    promote: false,
    why: "no series is long enough to compare on",
  });
});

/** Answers every step of the asked range for some pods. */
function answering(pods: readonly string[], asked: number[] = []) {
  return {
    query: async (_expr: string, { from, to, step }: StepRange) => {
      const count = (to - from) / step + 1;
      asked.push(count);
      const points = Array.from({ length: count }, (_, at) => ({ t: from + at * step, value: 1 }));
      return pods.map((pod) => ({ labels: { pod }, points }));
    },
  };
}

const range = { from: 0, to: 1_999 * MINUTE, step: MINUTE };

test("reads a history page by page, each series whole", async () => {
  const asked: number[] = [];

  const [metric] = await readHistory([{ name: "m", expr: "m" }], range, {
    source: answering(["a"], asked),
  });

  expect(asked).toEqual([12, 720, 720, 548]);
  expect(metric?.series).toHaveLength(1);
  expect(metric?.series[0]?.points.map(({ t }) => t / MINUTE)).toEqual(
    Array.from({ length: 2_000 }, (_, at) => at),
  );
});

test("keeps a sample of many series, whole and the same every time", async () => {
  const pods = Array.from({ length: 50 }, (_, at) => `pod-${at}`);
  const read = async (order: readonly string[]) =>
    readHistory([{ name: "m", expr: "m" }], range, { source: answering(order), seriesMax: 7 });

  const [one] = await read(pods);
  const [other] = await read(pods.toReversed());

  const names = (metric: MetricHistory | undefined) =>
    metric?.series.map(({ labels }) => labels["pod"]).sort();
  expect(names(one)).toHaveLength(7);
  expect(names(other)).toEqual(names(one));
  expect(one?.series.map(({ points }) => points.length)).toEqual(Array(7).fill(2_000));
});
