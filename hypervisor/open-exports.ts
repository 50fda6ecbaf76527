import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import type { HypervisorConfig } from "./config.ts";
import { pruneExports } from "./snapshots-export/prune-exports.ts";
import type { Vault } from "./snapshots-export/types.ts";

interface Deps {
  readonly database: Database;
  readonly vault: Pick<Vault, "store">;
  readonly clock: Clock;
  readonly log: Log;
  readonly stack: StopStack;
}

const EVERY_MS = 3_600_000;

/** Deletes exports of snapshots that are not kept, from the start on; without the variable they stay. */
export function openExports(
  { exportKeepLast: keep }: Pick<HypervisorConfig, "exportKeepLast">,
  { database, vault: { store }, clock, log, stack }: Deps,
): void {
  if (store === undefined || keep === undefined) return;
  const stopping = new AbortController();
  const { signal } = stopping;
  const pruning = (async () => {
    while (!signal.aborted) {
      await pruneExports(keep, { database, store, log, signal }).catch((error: unknown) => {
        log.warn("exports not pruned", { error: messageOf(error) });
      });
      await clock.sleep(EVERY_MS, signal);
    }
  })();
  stack.add("exports of snapshots", async () => {
    stopping.abort();
    await pruning;
  });
}
