import { join } from "node:path";
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

/** Where terminals are recorded; undefined: they are not. */
export function recordingsFolder({
  recordings,
  recordingsDir,
  dataPath,
}: Pick<HypervisorConfig, "recordings" | "recordingsDir" | "dataPath">): string | undefined {
  if (recordings === "off") return undefined;
  return recordingsDir ?? join(dataPath === "/" ? "/var/lib/fettle" : dataPath, "recordings");
}

/** Deletes recordings that are too old or too much, from the start on. */
export function openRecordings(
  config: HypervisorConfig,
  { database, clock, log, stack }: Deps,
): void {
  const folder = recordingsFolder(config);
  if (folder === undefined) return;
  const { recordingsDays: days, recordingsMegabytes: megabytes } = config;
  const stopping = new AbortController();
  const pruning = (async () => {
    while (!stopping.signal.aborted) {
      await pruneRecordings(database, { folder, days, megabytes, now: clock.now() }).catch(
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
