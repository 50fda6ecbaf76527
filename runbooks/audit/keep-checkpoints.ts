import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import {
  lookAtRecord,
  makeCheckpoint,
  settledSince,
  type Moment,
  type Signer,
} from "./checkpoint.ts";

const LOOK_MS = 60_000;
const CHECKPOINT_MINUTES = 5;

/**
 * Makes checkpoints, and prints each: whoever keeps the log keeps a second copy, which the database's owner cannot reach.
 */
export async function checkpointUntil(
  signal: AbortSignal,
  deps: {
    readonly database: Database;
    readonly clock: Clock;
    readonly log: Log;
    readonly signer: Signer | undefined;
  },
): Promise<void> {
  const { database, clock, log, signer } = deps;
  let then: Moment | undefined;
  while (!signal.aborted) {
    try {
      const now = await lookAtRecord(database);
      const settled = settledSince(then, now);
      if ((then?.lastId ?? null) === null || settled !== undefined) then = now;
      if (settled !== undefined) {
        const asked = { settled, minutes: CHECKPOINT_MINUTES, signer };
        const made = await makeCheckpoint(asked, database);
        if (made !== undefined) log.info("audit checkpoint", { ...made });
      }
    } catch (error) {
      log.warn("no checkpoint of the record was made, will be tried again", { error });
    }
    await clock.sleep(LOOK_MS, signal);
  }
}
