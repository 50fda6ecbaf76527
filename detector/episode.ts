import { explain, isOutside, NAMING_POINTS } from "./explain.ts";
import { emit, NOTHING_HELD } from "./hold.ts";
import type {
  CloseCause,
  Episode,
  EpisodeEvent,
  EpisodeRules,
  Hold,
  OpenEpisode,
} from "./types/episode.ts";
import type { PointScore } from "./types/scoring.ts";
import { SPREAD_POINTS } from "./streams.ts";
import { chooseWatch, isSpread } from "./watch.ts";

/** A series in which nothing is open, and no score is remembered. */
export const QUIET: Episode = { kind: "quiet", hold: NOTHING_HELD };

/** The next state of a series' episode, and what the world should hear about it, in order. */
export type Advance = readonly [episode: Episode, events: readonly EpisodeEvent[]];

/**
 * Takes one scored point into the episode of its series. Pure: the same points give the same episodes. An
 * episode opens when a score passes both the threshold and the hold, stays open while the watched stream is
 * outside the band that was frozen at its opening, and is published once, when its reason is final.
 */
export function advanceEpisode(episode: Episode, score: PointScore, rules: EpisodeRules): Advance {
  return episode.kind === "quiet"
    ? advanceQuiet(episode.hold, score, rules)
    : advanceOpen(episode, score, rules);
}

function advanceQuiet(hold: Hold, score: PointScore, rules: EpisodeRules): Advance {
  // What raises nothing must not be held either: it would hide the next point, which may.
  const counts = score.score >= rules.threshold && isOldEnough(score, rules);
  const [emitted, next] = emit(hold, counts ? score.score : 0, rules);
  if (!emitted) return [next === NOTHING_HELD ? QUIET : { kind: "quiet", hold: next }, []];
  const naming = explain(score, [score.value], rules);
  const opened: OpenEpisode = {
    kind: "open",
    opening: score,
    openedAt: score.t,
    lastSeenAt: score.t,
    values: [score.value],
    naming,
    published: false,
    watch: chooseWatch(score, naming.reason, rules.zThreshold),
    points: 1,
    inside: 0,
    peak: score.score,
  };
  return publishWhenFinal(opened);
}

function isOldEnough({ n, novelty, weights }: PointScore, rules: EpisodeRules): boolean {
  if (n <= rules.warmupPoints) return false;
  if (n > rules.youngPoints) return true;
  // The first rise of a daily curve is a slow change too.
  return novelty === "fresh" && Math.max(...Object.values(weights)) >= rules.youngWeight;
}

function advanceOpen(open: OpenEpisode, score: PointScore, rules: EpisodeRules): Advance {
  // After a restart the points that led to the opening may be seen again; they say nothing about its end.
  if (score.t <= open.openedAt) return [open, []];
  if (open.naming.reason === "absent") return close(open, "recovered", NOTHING_HELD);
  const values = open.values.length < NAMING_POINTS ? [...open.values, score.value] : open.values;
  const naming = open.naming.final ? open.naming : explain(open.opening, values, rules);
  // Nothing that anybody should hear of; but what it may have been the first sign of must be heard.
  if (naming.final && naming.minor) return [QUIET, []];
  const watch = open.naming.final
    ? open.watch
    : chooseWatch(open.opening, naming.reason, rules.zThreshold);
  const watched = score.streams[watch.stream];
  // After a restart a stream may need some points to come back; until then nobody knows, and nothing is over.
  const inside = watched === undefined || isOutside(watched, watch.band) ? 0 : open.inside + 1;
  const next: OpenEpisode = {
    ...open,
    values,
    naming,
    watch,
    inside,
    lastSeenAt: inside === 0 ? score.t : open.lastSeenAt,
    points: open.points + 1,
    peak: Math.max(open.peak, score.score),
  };
  const [published, events] = publishWhenFinal(next);
  const cause = closeCause(next, rules);
  if (cause === undefined) return [published, events];
  const [closed, closing] = close(published, cause, { score: next.peak, age: 0 });
  return [closed, [...events, ...closing]];
}

function publishWhenFinal(open: OpenEpisode): readonly [OpenEpisode, readonly EpisodeEvent[]] {
  if (open.published || !open.naming.final || open.naming.minor) return [open, []];
  const published = { ...open, published: true };
  return [published, [{ kind: "published", episode: published }]];
}

function closeCause(open: OpenEpisode, rules: EpisodeRules): CloseCause | undefined {
  if (open.naming.final && open.inside >= rules.recoveryPoints && isJudged(open))
    return "recovered";
  return open.points >= rules.newNormalPoints ? "new_normal_accepted" : undefined;
}

/** A spread looks 48 points back: before it has seen as many of the incident, it cannot say that it is over. */
function isJudged({ watch, points }: OpenEpisode): boolean {
  return !isSpread(watch.stream) || points >= SPREAD_POINTS;
}

function close(open: OpenEpisode, cause: CloseCause, hold: Hold): Advance {
  const events: readonly EpisodeEvent[] = open.published
    ? [{ kind: "closed", episode: open, cause }]
    : [];
  return [{ kind: "quiet", hold }, events];
}

/**
 * Takes one step at which a healthy query returned everything but this series. `missed` counts such steps in a
 * row; `last` is the series' last scored point. An episode that is open for another reason stays open: the
 * incident may be what stopped the series.
 */
export function advanceAbsence(
  episode: Episode,
  last: PointScore,
  step: { readonly t: number; readonly missed: number },
  rules: EpisodeRules,
): Advance {
  if (episode.kind === "open") {
    return step.missed >= rules.newNormalPoints
      ? close(episode, "absent", NOTHING_HELD)
      : [episode, []];
  }
  if (step.missed < rules.absentPoints || last.n <= rules.warmupPoints) return [episode, []];
  return publishWhenFinal({
    kind: "open",
    opening: last,
    openedAt: step.t,
    lastSeenAt: step.t,
    values: [],
    naming: { reason: "absent", direction: "down", final: true, minor: false },
    published: false,
    watch: { stream: "value", band: { low: 0, high: 0 } },
    points: 1,
    inside: 0,
    peak: 1,
  });
}
