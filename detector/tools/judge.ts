import type { ReplayedEpisode } from "../replay.ts";
import type { IncidentWindow } from "./windows.ts";

/** What one series said over a time. */
export interface SeriesReplay {
  readonly metric: string;
  readonly series: string;
  readonly points: number;
  readonly from: number;
  readonly to: number;
  readonly episodes: readonly ReplayedEpisode[];
}

/** How well it was said. Without labelled windows only the load is known. */
export interface Judgement {
  readonly series: number;
  readonly points: number;
  readonly seriesDays: number;
  readonly alerts: number;
  readonly alertsPerDay: number;
  readonly alertsPerSeriesDay: number;
  readonly byReason: Readonly<Record<string, number>>;
  readonly labelled:
    | {
        readonly windows: number;
        readonly found: number;
        /** Windows found ÷ windows. */
        readonly recall: number;
        /** Alerts inside a window ÷ alerts; undefined without alerts. */
        readonly precision: number | undefined;
        /** From the window's begin to the alert, median, seconds; undefined when none was found. */
        readonly medianDelaySeconds: number | undefined;
      }
    | undefined;
}

const DAY_MS = 86_400_000;

/** Counts what a detector said against what people say was wrong. */
export function judge(
  replays: readonly SeriesReplay[],
  windows: readonly IncidentWindow[] | undefined,
): Judgement {
  const alerts = replays.flatMap(({ metric, episodes }) =>
    episodes.map((episode) => ({ metric, ...episode })),
  );
  const seriesDays = sum(replays.map(({ from, to }) => (to - from) / DAY_MS));
  const days = replays.length === 0 ? 0 : seriesDays / replays.length;
  return {
    series: replays.length,
    points: sum(replays.map(({ points }) => points)),
    seriesDays,
    alerts: alerts.length,
    alertsPerDay: rate(alerts.length, days),
    alertsPerSeriesDay: rate(alerts.length, seriesDays),
    byReason: countBy(alerts.map(({ episode }) => episode.naming.reason)),
    labelled: windows === undefined ? undefined : judgeLabelled(alerts, windows),
  };
}

type Alert = ReplayedEpisode & { readonly metric: string };

function judgeLabelled(
  alerts: readonly Alert[],
  windows: readonly IncidentWindow[],
): Judgement["labelled"] {
  const hits = windows.map((window) => alerts.filter((alert) => isInside(alert, window)));
  const found = hits.filter((inside) => inside.length > 0);
  const delays = hits.flatMap((inside, at) => {
    const from = windows[at]?.from ?? 0;
    return inside.length === 0
      ? []
      : [Math.min(...inside.map(({ publishedAt }) => publishedAt)) - from];
  });
  const right = alerts.filter((alert) => windows.some((window) => isInside(alert, window))).length;
  return {
    windows: windows.length,
    found: found.length,
    recall: rate(found.length, windows.length),
    precision: alerts.length === 0 ? undefined : right / alerts.length,
    medianDelaySeconds: delays.length === 0 ? undefined : median(delays) / 1000,
  };
}

function isInside({ metric, publishedAt }: Alert, window: IncidentWindow): boolean {
  return metric === window.metric && publishedAt >= window.from && publishedAt <= window.to;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function rate(count: number, per: number): number {
  return per === 0 ? 0 : count / per;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function countBy(values: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return Object.fromEntries(counts);
}
