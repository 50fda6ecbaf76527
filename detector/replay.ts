import { advanceAbsence, advanceEpisode, QUIET } from "./episode.ts";
import type { ScaledForest } from "./forest.ts";
import { createSeriesState, scorePoint } from "./score.ts";
import type {
  CloseCause,
  Episode,
  EpisodeEvent,
  EpisodeRules,
  OpenEpisode,
  Point,
  PointScore,
} from "./types.ts";

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
  options: ReplayOptions,
): readonly ReplayedEpisode[] {
  const { forest, rules, onScore } = options;
  const state = createSeriesState();
  const episodes: ReplayedEpisode[] = [];
  let episode: Episode = QUIET;
  let last: PointScore | undefined;
  for (const point of points) {
    if (last !== undefined) episode = missSteps(episode, last, point.t, options, episodes);
    const score = scorePoint(state, point, forest);
    if (score === undefined) continue;
    const [next, events] = advanceEpisode(episode, score, rules);
    episode = next;
    last = score;
    note(episodes, events, score.t);
    onScore?.(score);
  }
  return episodes;
}

/** The steps between two points at which the series was not there. */
function missSteps(
  before: Episode,
  last: PointScore,
  until: number,
  { rules, step }: ReplayOptions,
  episodes: ReplayedEpisode[],
): Episode {
  let episode = before;
  // After so many steps it was given up; nothing more can happen.
  const end = Math.min(until - step / 2, last.t + (rules.newNormalPoints + 1) * step);
  for (let t = last.t + step; t < end; t += step) {
    const missed = Math.round((t - last.t) / step);
    const [next, events] = advanceAbsence(episode, last, { t, missed }, rules);
    episode = next;
    note(episodes, events, t);
  }
  return episode;
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
