import type { Series } from "./series.ts";

/** Whether a series was born late enough, and is alive enough, to have replaced one that vanished. */
export interface Successors {
  /** Born after `born` and seen after `seen`; milliseconds since 1970. */
  has(times: { readonly born: number; readonly seen: number }): boolean;
}

/**
 * Sorts the series once, so that asking for each of a hundred thousand that vanish together does not take a minute: the
 * birth times, and for each of them when any series as young was last seen.
 */
export function successorsAmong(all: Iterable<Series>): Successors {
  const byBirth = [...all].sort((a, b) => a.bornAt - b.bornAt);
  const seenSince = new Float64Array(byBirth.length);
  let newest = -Infinity;
  for (let index = byBirth.length - 1; index >= 0; index -= 1) {
    newest = Math.max(newest, byBirth[index]?.lastAt ?? -Infinity);
    seenSince[index] = newest;
  }
  return {
    has: ({ born, seen }) => {
      let low = 0;
      let high = byBirth.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((byBirth[middle]?.bornAt ?? Infinity) > born) high = middle;
        else low = middle + 1;
      }
      return (seenSince[low] ?? -Infinity) > seen;
    },
  };
}
