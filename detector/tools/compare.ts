import type { Model } from "../model.ts";
import { replaySeries } from "../replay.ts";
import type { EpisodeRules } from "../types/episode.ts";
import type { Point } from "../types/scoring.ts";
import type { MetricHistory } from "./history.ts";

/** Enough to see a difference, few enough for a minute. */
const SERIES_MAX = 100;
const INCIDENT_POINTS = 30;
/** A found incident is one that is told while a person could still use it. */
const FOUND_WITHIN_POINTS = 10;

/** What one model made of the past. */
interface ModelRecord {
  /** Alerts in the past as it was. */
  readonly alerts: number;
  /** Planted incidents that were told within ten points. */
  readonly found: number;
}

export interface Comparison {
  readonly series: number;
  readonly planted: number;
  readonly champion: ModelRecord;
  readonly challenger: ModelRecord;
  readonly promote: boolean;
  readonly why: string;
}

export interface CompareOptions {
  readonly rules: EpisodeRules;
  readonly step: number;
}

/**
 * Both models live through the same past, as it was and with planted incidents at its end. The challenger must find at
 * least as many of them and raise at most as many alerts otherwise: nothing changes silently for the worse.
 */
export function compareModels(
  history: readonly MetricHistory[],
  models: { readonly champion: Model | undefined; readonly challenger: Model },
  options: CompareOptions,
): Comparison {
  const all = history.flatMap(({ series }) => series.map(({ points }) => points));
  const long = all.filter(
    (points) => points.length > options.rules.warmupPoints + 2 * INCIDENT_POINTS,
  );
  const chosen = long.slice(0, SERIES_MAX);
  const champion = recordOf(chosen, models.champion, options);
  const challenger = recordOf(chosen, models.challenger, options);
  const planted = chosen.length * INCIDENTS.length;
  return {
    series: chosen.length,
    planted,
    champion,
    challenger,
    ...verdict(chosen.length, champion, challenger),
  };
}

function verdict(series: number, champion: ModelRecord, challenger: ModelRecord) {
  if (series === 0) return { promote: false, why: "no series is long enough to compare on" };
  if (challenger.found < champion.found) {
    return {
      promote: false,
      why: `it finds ${challenger.found} planted incidents, the champion ${champion.found}`,
    };
  }
  if (challenger.alerts > champion.alerts) {
    return {
      promote: false,
      why: `it raises ${challenger.alerts} alerts, the champion ${champion.alerts}`,
    };
  }
  return { promote: true, why: "it finds as many planted incidents and raises no more alerts" };
}

/** What is planted over a series' last points; `spread` is the range of its past. */
const INCIDENTS: readonly ((value: number, spread: number) => number)[] = [
  (value, spread) => value + spread,
  (value, spread) => value - spread,
  () => 0,
];

function recordOf(
  past: readonly (readonly Point[])[],
  model: Model | undefined,
  options: CompareOptions,
): ModelRecord {
  const replay = (points: readonly Point[]) =>
    replaySeries(points, { ...options, forest: model?.forest });
  let alerts = 0;
  let found = 0;
  for (const points of past) {
    alerts += replay(points).length;
    const from = points[points.length - INCIDENT_POINTS]?.t ?? 0;
    const until = from + FOUND_WITHIN_POINTS * options.step;
    for (const incident of INCIDENTS) {
      const told = replay(plant(points, incident)).some(
        ({ publishedAt: t }) => t >= from && t <= until,
      );
      if (told) found += 1;
    }
  }
  return { alerts, found };
}

function plant(
  points: readonly Point[],
  incident: (value: number, spread: number) => number,
): readonly Point[] {
  const values = points.map(({ value }) => value).filter(Number.isFinite);
  const spread =
    values.reduce((most, value) => Math.max(most, value), -Infinity) -
    values.reduce((least, value) => Math.min(least, value), Infinity);
  const start = points.length - INCIDENT_POINTS;
  return points.map((point, at) =>
    at < start ? point : { ...point, value: incident(point.value, spread) },
  );
}
