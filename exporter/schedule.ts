import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { isDue, parseCron } from "./cron.ts";

/** A failed export goes on soon, not a day later; its plan is kept. */
const RETRY_AFTER_MS = 10 * 60 * 1000;

export interface Schedule {
  /** Ends the run in progress (it is resumed next time) and waits for it. */
  stop(): Promise<void>;
}

export interface ScheduleDeps {
  readonly run: (signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface When {
  readonly cron: string;
  readonly timeZone: string;
  /** Begins with a run now, to finish what a killed process left behind. */
  readonly immediately: boolean;
}

/** A process that slept longer does not make up for what it missed: the next run takes all rows anyway. */
const LOOK_BACK_MAX_MS = 60 * 60 * 1000;
const SECOND_MS = 1000;

/**
 * Runs exports by the cron expression in its zone, one at a time. By our own reckoning: node-cron 4.6 loses the runs of an hour
 * that a change of the clocks skips, and those of the one that it repeats (measured).
 */
export function scheduleExports(when: When, { run, clock, log }: ScheduleDeps): Schedule {
  const cron = parseCron(when.cron);
  if (cron === undefined) throw new Error(`not a cron expression: ${when.cron}`);
  const stopping = new AbortController();
  let current: Promise<void> = Promise.resolve();
  let running = false;
  const isStopping = () => stopping.signal.aborted;
  const attempt = async (): Promise<void> => {
    while (!isStopping()) {
      try {
        await run(stopping.signal);
        return;
      } catch (error) {
        if (isStopping()) return;
        log.error("export failed", { error, retry_seconds: RETRY_AFTER_MS / 1000 });
        await clock.sleep(RETRY_AFTER_MS, stopping.signal);
      }
    }
  };
  const begin = (): void => {
    if (running) {
      log.warn("export skipped: the one before is still running");
      return;
    }
    running = true;
    current = attempt().finally(() => {
      running = false;
    });
  };
  const look = async (): Promise<void> => {
    for (let seen = clock.now(); !isStopping();) {
      await clock.sleep(SECOND_MS - (clock.now().getTime() % SECOND_MS), stopping.signal);
      const now = clock.now();
      const from = new Date(Math.max(seen.getTime(), now.getTime() - LOOK_BACK_MAX_MS));
      if (!isStopping() && isDue(cron, when.timeZone, from, now)) begin();
      seen = now;
    }
  };
  if (when.immediately) begin();
  const looking = look();
  return {
    stop: async () => {
      stopping.abort();
      await looking;
      await current;
    },
  };
}
