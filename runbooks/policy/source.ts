import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { PolicyDocument, PolicyMap, PolicyReading, PolicySource } from "../types/policy.ts";
import { parsePolicyMap, type PolicyMapContext } from "./document.ts";
import type { PolicyNews } from "./versions.ts";

/** How long the last good policy holds when a newer one cannot be read. */
export const LAST_GOOD_SECONDS = 600;
/** A change is told by the watch; this is for the changes that it did not tell. */
const LIST_MS = 60_000;
const LOST_PAUSE_MS = 5_000;
/** However often the map changes, it is not read more often. */
const PACE_MS = 1_000;

export interface PolicySourceDeps extends PolicyMapContext {
  /** Undefined: the environment's rules are all there is. */
  readonly map: PolicyMap | undefined;
  /** Writes down what was read. Its failure does not change what is in force. */
  readonly record: (news: PolicyNews) => Promise<void>;
  readonly clock: Pick<Clock, "sleep">;
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsedMs: () => number;
  readonly log: Log;
}

interface Good {
  readonly document: PolicyDocument;
  readonly atMs: number;
}

/** The policy that is in force, followed as it changes. */
export interface FollowedPolicy extends PolicySource {
  /** Reads it again and again, until the signal. Never rejects. */
  follow(signal: AbortSignal): Promise<void>;
}

/**
 * The ConfigMap with the environment's rules behind it. No ConfigMap at the start means the environment alone; one that
 * vanishes, cannot be reached or cannot be read later leaves the last good policy in force for ten minutes, and then none.
 */
export function openPolicySource(deps: PolicySourceDeps): FollowedPolicy {
  const { map, environment, clock, elapsedMs, log } = deps;
  let good: Good | undefined;
  let problem: string | undefined;
  let seenMap = false;
  let version = "";

  const accept = async (document: PolicyDocument, changedBy?: string) => {
    const isNew = good?.document.sha256 !== document.sha256;
    if (isNew)
      log.info("policy in force", {
        version: document.sha256.slice(0, 12),
        source: document.source,
      });
    if (problem !== undefined) log.info("policy can be read again");
    // The same object for the same version: lookups are kept by object.
    good = { document: isNew || good === undefined ? document : good.document, atMs: elapsedMs() };
    problem = undefined;
    await told(deps, { kind: "read", document, changedBy, isNew });
  };

  const look = async () => {
    if (map === undefined) {
      await accept(environment);
      return;
    }
    try {
      const content = await map.read();
      version = content.version;
      if (content.data === undefined) {
        if (seenMap) throw new Error(`the ConfigMap ${map.name} is gone`);
        await accept(environment);
        return;
      }
      seenMap = true;
      await accept(parsePolicyMap(content.data, deps), content.changedBy);
    } catch (error) {
      const why = messageOf(error);
      if (why !== problem)
        log.error("policy cannot be read: the last good one holds for ten minutes", { error });
      problem = why;
      await told(deps, { kind: "problem", problem: why });
    }
  };

  let first: Promise<void> | undefined;
  return {
    current: async () => {
      await (first ??= look());
      return readingOf(good, problem, elapsedMs());
    },
    follow: async (signal) => {
      while (!signal.aborted) {
        const began = elapsedMs();
        await (first === undefined ? (first = look()) : look());
        const watched = await nextLook(map, version, clock, signal);
        const pause = watched === "lost" ? LOST_PAUSE_MS : PACE_MS - (elapsedMs() - began);
        if (pause > 0) await clock.sleep(pause, signal);
      }
    },
  };
}

async function told({ record, log }: PolicySourceDeps, news: PolicyNews): Promise<void> {
  try {
    await record(news);
  } catch (error) {
    log.warn("policy version not written down", { error });
  }
}

function readingOf(
  good: Good | undefined,
  problem: string | undefined,
  nowMs: number,
): PolicyReading {
  if (good === undefined) return { kind: "unknown", why: problem ?? "it was not read yet" };
  const seconds = (nowMs - good.atMs) / 1000;
  if (seconds <= LAST_GOOD_SECONDS) return { kind: "known", document: good.document };
  const why = problem ?? "nobody has looked";
  return { kind: "unknown", why: `${why}; last read ${Math.floor(seconds / 60)} minutes ago` };
}

/** Until the map may have changed, or it is time to look anyway. */
async function nextLook(
  map: PolicyMap | undefined,
  version: string,
  clock: Pick<Clock, "sleep">,
  signal: AbortSignal,
): Promise<"look" | "lost"> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  try {
    return await Promise.race([
      clock.sleep(LIST_MS, either).then(() => "look" as const),
      ...(map === undefined ? [] : [map.changed(version, either)]),
    ]);
  } finally {
    over.abort(); // the watch, or the clock
  }
}
