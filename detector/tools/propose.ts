import { setImmediate } from "node:timers/promises";
import type { ScaledForest } from "../forest.ts";
import { replayByRules, type ReplayedEpisode } from "../replay.ts";
import { seriesId } from "../series.ts";
import type { EpisodeRules } from "../types/episode.ts";
import type { LabelledAnomaly } from "../types/labels.ts";
import type { Point } from "../types/scoring.ts";
import { candidatesBeside, chooseThreshold, type Trial } from "./choose-threshold.ts";
import type { MetricHistory } from "./history.ts";
import { judge, type SeriesReplay } from "./judge.ts";

/** Fewer say more about the day than about the threshold. */
const LABELS_NEEDED = 5;

export interface ProposeOptions {
  readonly forest: ScaledForest | undefined;
  /** Those in use; the threshold among them is the one to be judged. */
  readonly rules: EpisodeRules;
  readonly step: number;
  /** Alerts count from here on; the history begins earlier, so that the scorer knows what is usual. */
  readonly from: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What a threshold would have done. */
export interface ThresholdRecord {
  readonly threshold: number;
  readonly alerts: number;
  readonly alertsPerDay: number;
  /** Labelled anomalies that it raises. */
  readonly real: number;
  readonly falsePositive: number;
  /** Real ones raised ÷ labelled anomalies raised; undefined when it raises none. */
  readonly precision: number | undefined;
  /** Real ones raised ÷ real ones. */
  readonly recall: number;
}

/** An alert that only one of two thresholds raises. */
export interface ChangedAlert {
  readonly metric: string;
  readonly series: string;
  readonly episode: ReplayedEpisode;
  readonly label: LabelledAnomaly["label"] | undefined;
}

export interface Proposal {
  readonly kind: "proposal";
  /** What people said of this time. `notReplayable`: Prometheus does not have the series' points any more. */
  readonly labels: {
    readonly real: number;
    readonly falsePositive: number;
    readonly expectedChange: number;
    readonly notReplayable: number;
  };
  readonly current: ThresholdRecord;
  /** Equal to `current` when the labels do not speak for a change. */
  readonly proposed: ThresholdRecord;
  readonly lost: readonly ChangedAlert[];
  readonly gained: readonly ChangedAlert[];
}

export interface Refusal {
  readonly kind: "refused";
  readonly why: string;
}

/**
 * labels → trials → threshold → diff. Replays the labelled series at every candidate, chooses, and lives through the
 * whole past at the old and the new threshold. Changes nothing.
 *
 * An expected change counts neither for nor against a threshold: it was seen rightly, and was no incident.
 */
export async function proposeThreshold(
  history: readonly MetricHistory[],
  labelled: readonly LabelledAnomaly[],
  options: ProposeOptions,
): Promise<Proposal | Refusal> {
  const all = history.flatMap(({ query, series }) =>
    series.map(({ labels, points }) => ({ metric: query.name, series: seriesId(labels), points })),
  );
  const tried = await tryOut(all, labelled, options);
  const labels = countLabels(tried, labelled);
  const objection = objectionTo(labels);
  if (objection !== undefined) return { kind: "refused", why: objection };

  const { threshold: current } = options.rules;
  const proposed = chooseThreshold(tried, current);
  const [before = [], after = []] = await replayAt([current, proposed], all, options);
  return {
    kind: "proposal",
    labels,
    current: recordOf(current, before, tried),
    proposed: recordOf(proposed, after, tried),
    lost: onlyIn(before, after, labelled),
    gained: onlyIn(after, before, labelled),
  };
}

/** A lower threshold tells people sooner. */
const EARLY_STEPS = 60;

interface PastSeries {
  readonly metric: string;
  readonly series: string;
  readonly points: readonly Point[];
}

interface Tried extends Trial {
  readonly anomaly: LabelledAnomaly;
}

/**
 * Each labelled anomaly that can be lived through again, at every candidate that can be the best: a lower threshold than
 * the one in use only if that one misses a real anomaly.
 */
async function tryOut(
  all: readonly PastSeries[],
  labelled: readonly LabelledAnomaly[],
  options: ProposeOptions,
): Promise<readonly Tried[]> {
  const { threshold: current } = options.rules;
  const candidates = candidatesBeside(current);
  const notLower = candidates.filter((threshold) => threshold >= current);
  const tried = await tryAt(notLower, all, labelled, options);
  const misses = tried.some(({ label, raisedAt }) => label === "real" && !raisedAt.has(current));
  return misses ? tryAt(candidates, all, labelled, options) : tried;
}

async function tryAt(
  candidates: readonly number[],
  all: readonly PastSeries[],
  labelled: readonly LabelledAnomaly[],
  { forest, rules, step, onProgress = () => undefined }: ProposeOptions,
): Promise<readonly Tried[]> {
  const tried: Tried[] = [];
  for (const [done, past] of all.entries()) {
    const own = labelled.filter(
      (anomaly) => isOf(past, anomaly) && isKnownBefore(past, anomaly, rules),
    );
    if (own.length === 0) continue;
    const lanes = candidates.map((threshold) => ({ ...rules, threshold }));
    const lives = replayByRules(past.points, lanes, { forest, step });
    for (const anomaly of own) {
      if (anomaly.label === "expected_change") continue;
      const raised = candidates.filter((_, at) => isRaised(anomaly, lives[at] ?? [], step));
      tried.push({ label: anomaly.label, anomaly, raisedAt: new Set(raised) });
    }
    onProgress(done + 1, 2 * all.length);
    await setImmediate(); // a progress bar wants to move
  }
  return tried;
}

function isOf({ metric, series }: PastSeries, anomaly: LabelledAnomaly): boolean {
  return metric === anomaly.metric && series === anomaly.series;
}

/** Whether there is enough before an anomaly for anything to be raised at all. */
function isKnownBefore(
  { points }: PastSeries,
  { openedAt }: LabelledAnomaly,
  { warmupPoints }: EpisodeRules,
): boolean {
  return (points[warmupPoints]?.t ?? Infinity) < openedAt;
}

/** Whether people would have been told while it lasted, or hardly before: an older episode is another story. */
function isRaised(
  { openedAt, closedAt = Infinity }: Pick<LabelledAnomaly, "openedAt" | "closedAt">,
  episodes: readonly ReplayedEpisode[],
  step: number,
): boolean {
  const from = openedAt - EARLY_STEPS * step;
  return episodes.some(({ publishedAt }) => publishedAt >= from && publishedAt <= closedAt);
}

function countLabels(
  tried: readonly Trial[],
  labelled: readonly LabelledAnomaly[],
): Proposal["labels"] {
  const count = (label: LabelledAnomaly["label"], of: readonly { label: string }[]): number =>
    of.filter((one) => one.label === label).length;
  const expectedChange = count("expected_change", labelled);
  return {
    real: count("real", tried),
    falsePositive: count("false_positive", tried),
    expectedChange,
    notReplayable: labelled.length - expectedChange - tried.length,
  };
}

function objectionTo({
  real,
  falsePositive,
  notReplayable,
}: Proposal["labels"]): string | undefined {
  if (real + falsePositive < LABELS_NEEDED) {
    return (
      `${real + falsePositive} anomalies of this time are labelled real or false_positive, ${LABELS_NEEDED} are needed ` +
      `(${notReplayable} more cannot be replayed): label more, or give a longer time`
    );
  }
  return real === 0
    ? "no anomaly of this time is labelled real: nothing says how far the threshold may go"
    : undefined;
}

/** The whole past at some thresholds; alerts before the asked time are left out. */
async function replayAt(
  thresholds: readonly number[],
  all: readonly PastSeries[],
  { forest, rules, step, from, onProgress = () => undefined }: ProposeOptions,
): Promise<readonly (readonly SeriesReplay[])[]> {
  const lanes = thresholds.map((threshold) => ({ ...rules, threshold }));
  const replays: SeriesReplay[][] = thresholds.map(() => []);
  for (const [done, { metric, series, points }] of all.entries()) {
    const lives = replayByRules(points, lanes, { forest, step });
    const counted = points.filter(({ t }) => t >= from);
    const begin = counted.at(0)?.t ?? from;
    for (const [at, episodes] of lives.entries()) {
      replays[at]?.push({
        ...{ metric, series, points: counted.length, from: begin, to: counted.at(-1)?.t ?? begin },
        episodes: episodes.filter(({ publishedAt }) => publishedAt >= from),
      });
    }
    onProgress(all.length + done + 1, 2 * all.length);
    await setImmediate();
  }
  return replays;
}

function recordOf(
  threshold: number,
  replays: readonly SeriesReplay[],
  tried: readonly Tried[],
): ThresholdRecord {
  const { alerts, alertsPerDay } = judge(replays, undefined);
  const raised = tried.filter(({ raisedAt }) => raisedAt.has(threshold));
  const real = raised.filter(({ label }) => label === "real").length;
  const ofReal = tried.filter(({ label }) => label === "real").length;
  return {
    ...{ threshold, alerts, alertsPerDay, real, falsePositive: raised.length - real },
    precision: raised.length === 0 ? undefined : real / raised.length,
    recall: real / ofReal,
  };
}

/** Whether any episode lasted at the same time. */
function overlaps(
  { openedAt, closedAt = Infinity }: Pick<LabelledAnomaly, "openedAt" | "closedAt">,
  episodes: readonly ReplayedEpisode[],
): boolean {
  return episodes.some(
    (episode) => episode.openedAt <= closedAt && openedAt <= (episode.closedAt ?? Infinity),
  );
}

/** Alerts to which the other threshold has none at the same time. */
function onlyIn(
  replays: readonly SeriesReplay[],
  others: readonly SeriesReplay[],
  labelled: readonly LabelledAnomaly[],
): readonly ChangedAlert[] {
  return replays.flatMap(({ metric, series, episodes }, at) =>
    episodes
      .filter((episode) => !overlaps(episode, others[at]?.episodes ?? []))
      .map((episode) => ({
        ...{ metric, series, episode },
        label: labelled.find(
          (one) => one.metric === metric && one.series === series && overlaps(one, [episode]),
        )?.label,
      })),
  );
}
