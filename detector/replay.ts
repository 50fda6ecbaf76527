import { advanceAbsence, advanceEpisode, QUIET, type Advance } from "./episode.ts";
import type { ScaledForest } from "./forest.ts";
import { createSeriesState, scorePoint } from "./score.ts";
import type {
  CloseCause,
  Episode,
  EpisodeEvent,
  EpisodeRules,
  OpenEpisode,
} from "./types/episode.ts";
import type { Point, PointScore } from "./types/scoring.ts";

/** A published episode of the past. Times in milliseconds since 1970. */
export interface ReplayedEpisode {
  readonly openedAt: number;
  /** The point at which people would have been told. */
  readonly publishedAt: number;
  /** Undefined while it is still open at the end. */
  readonly closedAt: number | undefined;
  readonly cause: CloseCause | undefined;
  readonly episode: OpenEpisode;
}

export interface ReplayOptions {
  readonly forest: ScaledForest | undefined;
  readonly rules: EpisodeRules;
  /** Milliseconds from one point to the next; a longer pause counts as missing steps. */
  readonly step: number;
  /** Called with each score, in order, for charts and for training rows. */
  readonly onScore?: (score: PointScore) => void;
}

/**
 * Lives through a series again, by the same functions as the running detector: what it says about the past is what the
 * detector would have said then. Points must be in time order.
 */
export function replaySeries(
  points: readonly Point[],
  { rules, ...options }: ReplayOptions,
): readonly ReplayedEpisode[] {
  return replayByRules(points, [rules], options)[0] ?? [];
}

/** One life under one set of rules. */
interface Lane {
  readonly rules: EpisodeRules;
  readonly episodes: ReplayedEpisode[];
  episode: Episode;
}

/** Lives through a series under several rules at once: its scores, which cost the time, do not depend on them. */
export function replayByRules(
  points: readonly Point[],
  rules: readonly EpisodeRules[],
  { forest, step, onScore }: Omit<ReplayOptions, "rules">,
): readonly (readonly ReplayedEpisode[])[] {
  const state = createSeriesState();
  const lanes: readonly Lane[] = rules.map((own) => ({ rules: own, episodes: [], episode: QUIET }));
  let last: PointScore | undefined;
  let seenAt = -Infinity;
  for (const point of points) {
    if (last !== undefined) missSteps(lanes, last, { from: seenAt, to: point.t, step });
    seenAt = point.t; // a point without a number is there all the same
    const score = scorePoint(state, point, forest);
    if (score === undefined) continue;
    for (const lane of lanes)
      advance(lane, advanceEpisode(lane.episode, score, lane.rules), score.t);
    last = score;
    onScore?.(score);
  }
  return lanes.map(({ episodes }) => episodes);
}

/** The steps between two points at which the series was not there; `last` is its last number. */
function missSteps(
  lanes: readonly Lane[],
  last: PointScore,
  { from, to, step }: { readonly from: number; readonly to: number; readonly step: number },
): void {
  for (const lane of lanes) {
    // After so many steps it was given up; nothing more can happen.
    const end = Math.min(to - step / 2, from + (lane.rules.newNormalPoints + 1) * step);
    for (let t = from + step; t < end; t += step) {
      const missed = Math.round((t - from) / step);
      advance(lane, advanceAbsence(lane.episode, last, { t, missed }, lane.rules), t);
    }
  }
}

function advance(lane: Lane, [episode, events]: Advance, t: number): void {
  lane.episode = episode;
  note(lane.episodes, events, t);
}

function note(episodes: ReplayedEpisode[], events: readonly EpisodeEvent[], t: number): void {
  for (const event of events) {
    if (event.kind === "published") {
      const { openedAt } = event.episode;
      const open = { openedAt, publishedAt: t, closedAt: undefined, cause: undefined };
      episodes.push({ ...open, episode: event.episode });
    } else {
      const open = episodes.pop();
      if (open !== undefined) episodes.push({ ...open, closedAt: t, cause: event.cause });
    }
  }
}
