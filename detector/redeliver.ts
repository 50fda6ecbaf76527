import type { Log } from "../lib/log.ts";
import type { AlertStatus, Anomaly, AnomalyStore } from "./types.ts";

/** What an earlier process could not deliver is worth saying for a day. */
const REDELIVER_WITHIN_MS = 24 * 60 * 60 * 1000;

export interface RedeliverDeps {
  readonly store: Pick<AnomalyStore, "undelivered"> | undefined;
  readonly outbox: { add(anomaly: Anomaly, status: AlertStatus): void };
  readonly log: Log;
  readonly now: Date;
}

/** Puts alerts of an earlier process that nobody took yet back into the outbox: at least once, also over a crash. */
export async function redeliver({ store, outbox, log, now }: RedeliverDeps): Promise<void> {
  if (store === undefined) return;
  try {
    const since = new Date(now.getTime() - REDELIVER_WITHIN_MS);
    const waiting = await store.undelivered(since);
    for (const { anomaly, status } of waiting) outbox.add(anomaly, status);
    if (waiting.length > 0) log.info("undelivered alerts found", { count: waiting.length });
  } catch (error) {
    log.warn("undelivered alerts not looked for", { error });
  }
}
