import type { Clock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import type { HypervisorConfig } from "./config.ts";
import { pruneRecordings } from "./live/prune-recordings.ts";

interface Deps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly stack: StopStack;
}

const EVERY_MS = 3_600_000;

/** Deletes recordings that are too old, from the start on; without the variables they stay. */
export function openRecordings(
  { recordingsDir: folder, recordingsDays: days }: HypervisorConfig,
  { database, clock, log, stack }: Deps,
): void {
  if (folder === undefined || days === undefined) return;
  const stopping = new AbortController();
  const pruning = (async () => {
    while (!stopping.signal.aborted) {
      await pruneRecordings(database, { folder, days, now: clock.now() }).catch(
        (error: unknown) => {
          log.warn("recordings not pruned", { error });
        },
      );
      await clock.sleep(EVERY_MS, stopping.signal);
    }
  })();
  stack.add("recordings", async () => {
    stopping.abort();
    await pruning;
  });
}
