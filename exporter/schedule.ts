import { schedule as scheduleCron } from "node-cron";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

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

/**
 * Runs exports by the cron expression, one at a time. In UTC: node-cron 4.6 skips the hour that a change to daylight saving
 * time skips, and loses the one that it repeats.
 *
 * @param immediately begins with a run now, to finish what a killed process left behind
 */
export function scheduleExports(
  cron: string,
  immediately: boolean,
  { run, clock, log }: ScheduleDeps,
): Schedule {
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
  const task = scheduleCron(cron, begin, {
    timezone: "Etc/UTC",
    name: "audit-export",
    logger: cronLogger(log),
  });
  if (immediately) begin();
  return {
    stop: async () => {
      await task.destroy();
      stopping.abort();
      await current;
    },
  };
}

/** The library prints to the console by default. */
function cronLogger(log: Log) {
  const pass = (message: string | Error) => {
    log.warn("schedule", { detail: String(message) });
  };
  return { info: pass, warn: pass, error: pass, debug: () => undefined };
}
