import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { findWaitingDeliveries } from "./admit.ts";
import { findWaitingEpisodes } from "./episode.ts";
import { findDueRuns } from "./ledger.ts";
import { countWaiting } from "./store.ts";

const INTERVAL_MS = 2_000;
/** One slow or failing item must not hold up the rest. */
const AT_ONCE = 8;

export interface SweepDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly admit: (inboxId: string) => Promise<void>;
  readonly admitEpisode: (episodeId: string) => Promise<void>;
  readonly advance: (runId: string) => Promise<void>;
  readonly inboxWaiting: (deliveries: number) => void;
}

/**
 * Looks again and again for what is due: an approval that expires, a rollout to be verified, a target whose rest is over;
 * and for work that nobody does, because its worker was killed or its job was lost. The rows themselves are the truth about
 * what is left to do; the queue only makes it fast.
 */
export async function sweepUntil(signal: AbortSignal, deps: SweepDeps): Promise<void> {
  while (!signal.aborted) {
    try {
      await sweep(deps);
    } catch (error) {
      deps.log.warn("sweep failed, will be tried again", { error });
    }
    await deps.clock.sleep(INTERVAL_MS, signal);
  }
}

async function sweep({
  database,
  log,
  admit,
  admitEpisode,
  advance,
  inboxWaiting,
}: SweepDeps): Promise<void> {
  inboxWaiting(await countWaiting(database));
  await each(await findWaitingDeliveries(database), admit, log);
  await each(await findWaitingEpisodes(database), admitEpisode, log);
  await each(await findDueRuns(database), advance, log);
}

/** Every item gets its turn, whatever becomes of those before it. */
async function each(
  ids: readonly string[],
  work: (id: string) => Promise<void>,
  log: Log,
): Promise<void> {
  const waiting = [...ids];
  const worker = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      await work(id).catch((error: unknown) => {
        log.warn("not done, will be tried again", { id, error });
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
