import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { findWaitingDeliveries } from "./admit.ts";
import { findAbandonedRuns } from "./ledger.ts";

const INTERVAL_MS = 2_000;

export interface SweepDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly admit: (inboxId: string) => Promise<void>;
  readonly advance: (runId: string) => Promise<void>;
  readonly inboxWaiting: (deliveries: number) => void;
}

/**
 * Looks again and again for work that nobody does: the job of a killed worker, or one that the engine gave up on. The rows
 * themselves are the truth about what is left to do; the queue only makes it fast.
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

async function sweep({ database, log, admit, advance, inboxWaiting }: SweepDeps): Promise<void> {
  const { rows } = await database.query<{ waiting: number }>(
    "SELECT count(*)::int AS waiting FROM inbox WHERE processed_at IS NULL",
  );
  inboxWaiting(rows[0]?.waiting ?? 0);
  for (const id of await findWaitingDeliveries(database)) await admit(id);
  for (const id of await findAbandonedRuns(database)) {
    log.warn("abandoned run taken up", { run: id });
    await advance(id);
  }
}
