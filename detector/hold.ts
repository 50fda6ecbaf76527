import type { EpisodeRules, Hold } from "./types/episode.ts";

/** The last score that counted, of a series that has none. */
export const NOTHING_HELD: Hold = { score: 0, age: 0 };

/**
 * The refractory of the recipe: a score counts only if it exceeds the last that counted, or if that was long
 * ago. It is what "one alert per incident" means, and needs no threshold.
 */
export function emit(
  hold: Hold,
  score: number,
  rules: Pick<EpisodeRules, "holdPoints" | "holdMargin">,
): readonly [emitted: boolean, next: Hold] {
  const age = hold.age + 1;
  const last = age > rules.holdPoints ? 0 : hold.score;
  const emitted = score > last + (last > 0 ? rules.holdMargin : 0);
  if (emitted) return [true, { score, age: 0 }];
  return [false, last === 0 ? NOTHING_HELD : { score: last, age }];
}
