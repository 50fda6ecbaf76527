import { setImmediate } from "node:timers/promises";
import type { Log } from "../lib/log.ts";
import { closeAnomaly, recordAnomaly } from "./anomaly.ts";
import { advanceAbsence, advanceEpisode } from "./episode.ts";
import type { Model } from "./model.ts";
import { scorePoint } from "./score.ts";
import type { Series } from "./series.ts";
import { lastWords, tell } from "./last-words.ts";
import { successorsAmong, type Successors } from "./successors.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Episode, EpisodeEvent, EpisodeRules } from "./types/episode.ts";
import type { PointScore } from "./types/scoring.ts";
import type { SeriesSamples, StepRange } from "./types/source.ts";
import {
  admitSeries,
  dropSeries,
  type SeriesBudget,
  type WatchedMetric,
} from "./watched-metric.ts";

/** A series that has just begun may be the successor of one that has just ended (a restarted pod). */
const SUCCESSOR_STEPS = 5;
/** A series that vanishes before its warm-up is over is forgotten after this many steps. */
const YOUNG_FORGOTTEN_STEPS = 60;
/** The event loop is let go on after so many points (about 5 ms). */
const POINTS_PER_TURN = 1_000;

export interface EvaluateDeps {
  readonly model: Model | undefined;
  readonly rules: EpisodeRules;
  readonly budget: SeriesBudget;
  readonly metrics: {
    scored(metric: string, points: number): void;
    seriesRefused(metric: string, count: number): void;
    forget(metric: string, series: string): void;
  };
  readonly log: Log;
}

/** What the world should hear about one episode. */
export interface Notice {
  readonly kind: "published" | "closed";
  readonly anomaly: Anomaly;
}

/**
 * Takes the answered samples of one metric through its series: score each point, follow each episode, notice who is
 * missing. `silent` teaches without raising anything new; what was open may still close.
 */
export async function evaluate(
  metric: WatchedMetric,
  samples: readonly SeriesSamples[],
  range: StepRange,
  deps: EvaluateDeps & { readonly silent: boolean },
): Promise<readonly Notice[]> {
  const notices: Notice[] = [];
  let taken = 0;
  for (const [series, points] of admitAll(metric, samples, deps)) {
    for (const point of points) {
      if (point.t <= series.lastAt || point.t > range.to) continue;
      notices.push(...takePoint(metric, series, point, deps));
      if ((taken += 1) % POINTS_PER_TURN === 0) await setImmediate();
    }
  }
  if (!deps.silent) notices.push(...(await noticeAbsences(metric, range, deps)));
  deps.metrics.scored(metric.query.name, taken);
  return notices;
}

async function noticeAbsences(
  metric: WatchedMetric,
  range: StepRange,
  deps: EvaluateDeps & { readonly silent: boolean },
): Promise<readonly Notice[]> {
  const notices: Notice[] = [];
  const all = [...metric.series.values()];
  const successors = successorsAmong(all);
  for (const [index, series] of all.entries()) {
    notices.push(...noticeAbsence(metric, series, range, { ...deps, successors }));
    if ((index + 1) % POINTS_PER_TURN === 0) await setImmediate();
  }
  return notices;
}

function admitAll(
  metric: WatchedMetric,
  samples: readonly SeriesSamples[],
  { budget, metrics, log }: EvaluateDeps,
): readonly (readonly [Series, SeriesSamples["points"]])[] {
  const admitted: (readonly [Series, SeriesSamples["points"]])[] = [];
  for (const { labels, points } of samples) {
    const [first] = points;
    if (first === undefined) continue;
    const series = admitSeries(metric, labels, first.t, budget);
    if (series !== undefined) admitted.push([series, points]);
  }
  const refused = samples.length - admitted.length;
  if (refused > 0) {
    metrics.seriesRefused(metric.query.name, refused);
    if (!metric.capReported) {
      log.warn("series refused, AIOPS_MAX_SERIES is reached", {
        metric: metric.query.name,
        refused,
        max: budget.max,
      });
    }
  }
  metric.capReported = refused > 0;
  return admitted;
}

function takePoint(
  metric: WatchedMetric,
  series: Series,
  point: SeriesSamples["points"][number],
  deps: EvaluateDeps & { readonly silent: boolean },
): readonly Notice[] {
  // A restored series was made for its incident, and learns its past from before that.
  if (series.lastAt === -Infinity) series.bornAt = point.t;
  series.lastAt = point.t;
  const wasQuiet = series.episode.kind === "quiet";
  if (wasQuiet) metric.memories.note(series.state);
  const scored = scorePoint(series.state, point, deps.model?.forest);
  if (scored === undefined) return [];
  series.last = lastWords(scored, series.last);
  const [episode, events] = advanceEpisode(series.episode, scored, deps.rules);
  if (wasQuiet && episode.kind === "open") metric.memories.keep(series.id);
  else if (!wasQuiet && episode.kind === "quiet") metric.memories.take(series.id);
  return settle(metric, series, { episode, events, t: point.t }, deps);
}

/** Stores the next state of the episode and turns its events into records. */
function settle(
  metric: WatchedMetric,
  series: Series,
  next: { readonly episode: Episode; readonly events: readonly EpisodeEvent[]; readonly t: number },
  { model, silent }: { readonly model: Model | undefined; readonly silent: boolean },
): readonly Notice[] {
  series.episode = next.episode;
  const notices: Notice[] = [];
  for (const event of next.events) {
    if (event.kind === "published" && silent) {
      // An incident of the past that nobody recorded: it is held like any other, but not raised.
      series.episode = { kind: "quiet", hold: { score: event.episode.peak, age: 0 } };
      metric.memories.take(series.id);
      return notices;
    }
    if (event.kind === "published") {
      series.anomaly = recordAnomaly(metric.query, series, event.episode, model?.sha256);
      const memory = metric.memories.take(series.id);
      notices.push({ kind: "published", anomaly: { ...series.anomaly, memory } });
    } else if (series.anomaly !== undefined) {
      const anomaly = closeAnomaly(series.anomaly, next.t, event.cause);
      series.anomaly = undefined;
      notices.push({ kind: "closed", anomaly });
    }
  }
  return notices;
}

function noticeAbsence(
  metric: WatchedMetric,
  series: Series,
  { to, step }: StepRange,
  deps: EvaluateDeps & { readonly silent: boolean; readonly successors: Successors },
): readonly Notice[] {
  const opening = series.episode.kind === "open" ? series.episode.opening : undefined;
  const seenAt = Math.max(series.lastAt, opening?.t ?? -Infinity);
  const missed = Math.round((to - seenAt) / step);
  if (missed < deps.rules.absentPoints) return [];
  const last = series.last === undefined ? opening : tell(series.last);
  if (last === undefined || isDispensable(metric, series, { last, missed, seenAt, step }, deps)) {
    return forget(metric, series, to, deps);
  }
  const [episode, events] = advanceAbsence(series.episode, last, { t: to, missed }, deps.rules);
  const notices = settle(metric, series, { episode, events, t: to }, deps);
  const over = episode.kind === "quiet" && missed >= deps.rules.newNormalPoints;
  return over ? [...notices, ...forget(metric, series, to, deps)] : notices;
}

interface Silence {
  readonly last: PointScore;
  readonly missed: number;
  readonly seenAt: number;
  readonly step: number;
}

/** Nobody misses a series that a newer one replaced, nor one that we hardly knew or that left before our watch. */
function isDispensable(
  metric: WatchedMetric,
  series: Series,
  { last, missed, seenAt, step }: Silence,
  { rules, successors }: Pick<EvaluateDeps, "rules"> & { readonly successors: Successors },
): boolean {
  const successor = { born: seenAt - SUCCESSOR_STEPS * step, seen: seenAt };
  if (successors.has(successor)) return true;
  if (series.episode.kind === "open") return false;
  const leftBefore = seenAt <= metric.watchedSince - rules.absentPoints * step;
  const young = last.n <= rules.warmupPoints;
  return leftBefore || (young && missed >= YOUNG_FORGOTTEN_STEPS);
}

function forget(
  metric: WatchedMetric,
  series: Series,
  t: number,
  { budget, metrics }: EvaluateDeps,
): readonly Notice[] {
  dropSeries(metric, series, budget);
  metric.memories.take(series.id);
  metrics.forget(metric.query.name, series.id);
  return series.anomaly === undefined
    ? []
    : [{ kind: "closed", anomaly: closeAnomaly(series.anomaly, t, "absent") }];
}
