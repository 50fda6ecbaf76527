import { canonicalJson, sha256Hex } from "../lib/canonical.ts";
import { QUIET } from "./episode.ts";
import type { LastWords } from "./last-words.ts";
import { createSeriesState, type SeriesState } from "./score.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Episode } from "./types/episode.ts";
import type { Labels } from "./types/source.ts";

/** One series in memory: its past, its episode, and what was last said about it. */
export interface Series {
  readonly id: string;
  readonly labels: Labels;
  readonly state: SeriesState;
  /**
   * Time of its first point that we know, before that point the time for which it was made; a newborn series may replace
   * one that has just vanished.
   */
  bornAt: number;
  /** Time of its newest point; -Infinity while it has none. */
  lastAt: number;
  last: LastWords | undefined;
  episode: Episode;
  anomaly: Anomaly | undefined;
}

export function createSeries(labels: Labels, bornAt: number): Series {
  return {
    id: seriesId(labels),
    labels,
    state: createSeriesState(),
    bornAt,
    lastAt: -Infinity,
    last: undefined,
    episode: QUIET,
    anomaly: undefined,
  };
}

/** A stable short name of a label set: the first 12 hex digits of the SHA-256 of its canonical JSON. */
export function seriesId(labels: Labels): string {
  return sha256Hex(canonicalJson(labels)).slice(0, 12);
}

/** The target that a series speaks about, as runbooks name it; "" where its labels do not say. */
export function targetOf(labels: Labels): { readonly namespace: string; readonly app: string } {
  const app = ["app", "deployment", "service", "job"].find((name) => (labels[name] ?? "") !== "");
  return {
    namespace: labels["namespace"] ?? "",
    app: app === undefined ? "" : (labels[app] ?? ""),
  };
}
