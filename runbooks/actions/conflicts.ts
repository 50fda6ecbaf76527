import { setTimeout as sleep } from "node:timers/promises";
import type { Effect } from "./types.ts";

/** Status updates also move the resourceVersion, so a conflict says little: read again, at most this often. */
const CONFLICTS_MAX = 5;
const FIRST_PAUSE_MS = 100;
const PAUSE_MS_MAX = 1_000;

/** Tries until the write meets no conflict; `attempt` reads anew each time, and gives undefined for one. */
export async function withoutConflict(
  what: string,
  attempt: () => Promise<Effect | undefined>,
): Promise<Effect> {
  for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
    const effect = await attempt();
    if (effect !== undefined) return effect;
    await sleep(Math.min(PAUSE_MS_MAX, FIRST_PAUSE_MS * 2 ** conflicts));
  }
  return { kind: "stale", why: `${what} kept changing (${CONFLICTS_MAX} conflicts)` };
}
