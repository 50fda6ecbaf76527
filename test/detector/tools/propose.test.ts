import { expect, test } from "@jest/globals";
import { openModel, trainDefaultModel } from "../../../detector/model.ts";
import { mulberry32 } from "../../../detector/random.ts";
import { episodeRules } from "../../../detector/rules.ts";
import { seriesId } from "../../../detector/series.ts";
import { chooseThreshold, type Trial } from "../../../detector/tools/choose-threshold.ts";
import { renderProposal } from "../../../detector/tools/proposal-report.ts";
import { proposeThreshold, type Proposal } from "../../../detector/tools/propose.ts";
import type { LabelledAnomaly, LabelName } from "../../../detector/types/labels.ts";

const MINUTE = 60_000;
const OPENED = 1_800 * MINUTE;
const POINTS = 2_100;
const { forest } = openModel(trainDefaultModel(new Date(0)));
const rules = episodeRules({
  scoreThreshold: 0.65,
  zThreshold: 3,
  volatilityMultiple: 3,
  percentThreshold: 5,
  warmupPoints: 300,
  newNormalPoints: 4032,
});

/** Steps of a third of the range and of twice the range: raised up to 0.79 and to 0.98. */
const WEAK = { add: 2, seed: 2 };
const STRONG = { add: 12, seed: 4 };

interface Case {
  readonly step: typeof WEAK;
  readonly label: LabelName;
}

function labelsOf(pod: number) {
  return { pod: `p${pod}` };
}

function historyOf(cases: readonly Case[]) {
  const series = cases.map(({ step: { add, seed } }, pod) => {
    const random = mulberry32(seed);
    const points = Array.from({ length: POINTS }, (_, at) => ({
      t: at * MINUTE,
      value: 100 + 6 * (random() - 0.5) + (at >= 1_800 && at < 1_860 ? add : 0),
    }));
    return { labels: labelsOf(pod), points };
  });
  return [{ query: { name: "latency", expr: "latency" }, series }];
}

function labelled(cases: readonly Case[]): readonly LabelledAnomaly[] {
  return cases.map(({ label }, pod) => ({
    ...{ id: `anomaly_${pod}`, metric: "latency", series: seriesId(labelsOf(pod)), label },
    ...{ openedAt: OPENED, closedAt: OPENED + 60 * MINUTE },
  }));
}

async function proposalFor(cases: readonly Case[], threshold = 0.65) {
  const options = { forest, rules: { ...rules, threshold }, step: MINUTE, from: 1_700 * MINUTE };
  return proposeThreshold(historyOf(cases), labelled(cases), options);
}

function times(count: number, one: Case): readonly Case[] {
  return Array.from({ length: count }, () => one);
}

test("the lowest threshold above the false ones, when all real ones score higher", async () => {
  const cases = [
    ...times(3, { step: STRONG, label: "real" }),
    ...times(2, { step: WEAK, label: "false_positive" }),
    ...times(1, { step: WEAK, label: "expected_change" }),
  ];

  const proposal = (await proposalFor(cases)) as Proposal;

  expect(proposal).toMatchObject({
    kind: "proposal",
    labels: { real: 3, falsePositive: 2, expectedChange: 1, notReplayable: 0 },
    current: { threshold: 0.65, alerts: 6, real: 3, falsePositive: 2, precision: 0.6, recall: 1 },
    proposed: { alerts: 3, real: 3, falsePositive: 0, precision: 1, recall: 1 },
    gained: [],
  });
  expect(proposal.proposed.threshold).toBeGreaterThan(0.65);
  expect(proposal.proposed.threshold).toBeLessThanOrEqual(0.9);
  expect(proposal.lost.map(({ label }) => label)).toEqual([
    "false_positive",
    "false_positive",
    "expected_change",
  ]);
  // Six series live through the same day.
  expect(proposal.current.alertsPerDay).toBeCloseTo(6 / ((POINTS - 1_701) / 1_440), 1);
});

test("a real incident that was missed since lowers the threshold, and what else comes with it is shown", async () => {
  const cases = [
    ...times(1, { step: WEAK, label: "real" }),
    ...times(4, { step: STRONG, label: "real" }),
  ];

  const proposal = (await proposalFor(cases, 0.9)) as Proposal;

  expect(proposal).toMatchObject({
    current: { threshold: 0.9, real: 4, recall: 0.8 },
    proposed: { real: 5, recall: 1 },
    lost: [],
    gained: [{ label: "real", metric: "latency" }],
  });
  expect(proposal.proposed.threshold).toBeLessThan(0.9);
  expect(proposal.proposed.threshold).toBeGreaterThanOrEqual(0.65);
});

test("a false one that scores higher than a real one stays: the real one is not given up for quiet", async () => {
  const cases = [
    ...times(1, { step: WEAK, label: "real" }),
    ...times(4, { step: STRONG, label: "false_positive" }),
  ];

  const proposal = (await proposalFor(cases)) as Proposal;

  expect(proposal.proposed).toEqual(proposal.current);
  expect(proposal).toMatchObject({
    current: { threshold: 0.65, real: 1, falsePositive: 4, precision: 0.2 },
    lost: [],
    gained: [],
  });
});

test.each<[string, readonly Case[], RegExp]>([
  ["no labels", [], /^0 anomalies of this time are labelled real or false_positive, 5 are needed/],
  [
    "too few, expected changes not counted",
    [
      ...times(4, { step: STRONG, label: "real" }),
      ...times(3, { step: WEAK, label: "expected_change" }),
    ],
    /^4 anomalies of this time are labelled/,
  ],
  [
    "none that is real",
    times(5, { step: WEAK, label: "false_positive" }),
    /^no anomaly of this time is labelled real: nothing says how far/,
  ],
])("%s: refused, and says why", async (_name, cases, why) => {
  expect(await proposalFor(cases)).toEqual({ kind: "refused", why: expect.stringMatching(why) });
});

test("labels of series that Prometheus does not have any more do not count", async () => {
  const cases = times(5, { step: STRONG, label: "real" });
  const gone = labelled(cases).map((anomaly, at) => ({
    ...anomaly,
    // The second opened before anything is known of its series.
    ...(at === 0 ? { series: "gone" } : at === 1 ? { openedAt: 0, closedAt: 1 } : {}),
  }));

  const result = await proposeThreshold(historyOf(cases), gone, {
    ...{ forest, rules, step: MINUTE, from: 0 },
  });

  expect(result).toEqual({
    kind: "refused",
    why: expect.stringContaining("3 anomalies of this time"),
  });
  expect(result).toMatchObject({ why: expect.stringContaining("(2 more cannot be replayed)") });
});

test("of equal thresholds the nearest is chosen, and the lower of two", () => {
  const trial = (label: Trial["label"], ...raisedAt: number[]): Trial => ({
    label,
    raisedAt: new Set(raisedAt),
  });

  expect(chooseThreshold([trial("real", 0.5, 0.7)], 0.6)).toBe(0.5);
  expect(chooseThreshold([trial("real", 0.5, 0.61, 0.7)], 0.6)).toBe(0.61);
  expect(chooseThreshold([trial("real", 0.5, 0.655, 0.66)], 0.655)).toBe(0.655);
});

test("the page shows both thresholds, and a chart for each alert that only one of them raises", async () => {
  const cases = [
    ...times(3, { step: STRONG, label: "real" }),
    ...times(2, { step: WEAK, label: "false_positive" }),
  ];
  const proposal = (await proposalFor(cases)) as Proposal;

  const page = renderProposal(proposal, historyOf(cases), { from: 0, to: POINTS * MINUTE });

  const cells = [...page.matchAll(/<td>([^<]*)<\/td>/g)].map(([, cell]) => cell);
  expect(cells.slice(0, 3)).toEqual(["", "0.65", String(proposal.proposed.threshold)]);
  expect(page).toContain("Labelled false_positive.");
  expect(page.match(/<svg/g)).toHaveLength(2);
  expect(page).toMatch(/<rect\s+class="band"/);
  expect(page).not.toContain("e+308");
});
