import type { EpisodeEvent, EpisodeRules } from "../../detector/types/episode.ts";
import type { PointScore } from "../../detector/types/scoring.ts";
import { advanceEpisode, QUIET } from "../../detector/episode.ts";
import { FEATURE_COUNT } from "../../detector/features.ts";
import type { ScaledForest } from "../../detector/forest.ts";
import { mulberry32 } from "../../detector/random.ts";
import { episodeRules } from "../../detector/rules.ts";
import { createSeriesState, scorePoint } from "../../detector/score.ts";
import { syntheticPool, trainForest } from "../../detector/train.ts";
import { gaussian } from "./shapes.ts";

export const MINUTE = 60_000;

/** The rules with the default settings. */
export const RULES: EpisodeRules = episodeRules({
  scoreThreshold: 0.65,
  zThreshold: 3,
  volatilityMultiple: 3,
  percentThreshold: 5,
  warmupPoints: 300,
  newNormalPoints: 4032,
});

let trained: ScaledForest | undefined;

/** The default forest, trained once per test file. */
export function defaultForest(): ScaledForest {
  trained ??= trainForest(syntheticPool(FEATURE_COUNT, 1), { seed: 1, trees: 200 });
  return trained;
}

export type Shape = (index: number, noise: () => number) => number;

/** 100 with a deviation of 3. */
export const flat: Shape = (_index, noise) => 100 + 3 * noise();

/** A day of minutes: 100 with a swing of 50 and a deviation of 3. */
export const sine: Shape = (index, noise) =>
  100 + 50 * Math.sin((2 * Math.PI * index) / 1440) + 3 * noise();

export function valuesOf(shape: Shape, count: number, seed: number): number[] {
  const random = mulberry32(seed * 7919);
  return Array.from({ length: count }, (_, index) => shape(index, () => gaussian(random)));
}

export function scoresOf(
  values: readonly number[],
  forest: ScaledForest | undefined = defaultForest(),
): (PointScore | undefined)[] {
  const state = createSeriesState();
  return values.map((value, index) => scorePoint(state, { t: index * MINUTE, value }, forest));
}

/** A copy that goes its own way: from one warm-up, several incidents can branch off. What was shared stays shared. */
export function copyOf<T>(value: T, known = new Map<unknown, unknown>()): T {
  if (typeof value !== "object" || value === null) return value;
  const before = known.get(value);
  if (before !== undefined) return before as T;
  // By its name: the test's own ArrayBuffer is not the one that its typed arrays make.
  if (Object.prototype.toString.call(value) === "[object ArrayBuffer]") {
    return remember(value, (value as unknown as ArrayBuffer).slice(0) as T, known);
  }
  if (Array.isArray(value)) return value.map((member: unknown) => copyOf(member, known)) as T;
  const copy = remember(
    value,
    Object.create(Object.getPrototypeOf(value) as object | null) as T,
    known,
  );
  for (const [key, member] of Object.entries(value)) {
    Object.defineProperty(copy, key, {
      value: copyOf<unknown>(member, known),
      writable: true,
      enumerable: true,
    });
  }
  return copy;
}

function remember<T>(value: T, copy: T, known: Map<unknown, unknown>): T {
  known.set(value, copy);
  return copy;
}

export interface SeenEvent {
  readonly at: number;
  readonly event: EpisodeEvent;
}

/** The events of a whole series under the default rules, each with the index of its point. */
export function eventsOf(values: readonly number[], rules: EpisodeRules = RULES): SeenEvent[] {
  let episode = QUIET;
  return scoresOf(values).flatMap((score, at) => {
    if (score === undefined) return [];
    const [next, events] = advanceEpisode(episode, score, rules);
    episode = next;
    return events.map((event) => ({ at, event }));
  });
}
