import { schedule as scheduleCron } from "node-cron";
import type { Clock } from "../lib/clock.ts";
import { cronLog } from "../lib/cron-log.ts";
import type { Log } from "../lib/log.ts";
import { clocksChanged } from "./time-zone.ts";

/** A failed export goes on soon, not a day later; its plan is kept. */
const RETRY_AFTER_MS = 10 * 60 * 1000;
/** A process that was busy, or suspended, for so long exports nevertheless: the run takes all rows anyway. */
const LATE_MS = 60 * 60 * 1000;
const EVERY_HOUR = "0 * * * *";

export interface Schedule {
  /** Ends the run in progress (it is resumed next time) and waits for it. */
  stop(): Promise<void>;
}

export interface ScheduleDeps {
  readonly run: (signal: AbortSignal) => Promise<unknown>;
  readonly clock: Pick<Clock, "sleep">;
  readonly log: Log;
}

export interface When {
  readonly cron: string;
  readonly timeZone: string;
  /** Begins with a run now, to finish what a killed process left behind. */
  readonly immediately: boolean;
}

/**
 * Runs exports by the cron expression in its zone, one at a time. Where clocks are set forward or back, node-cron 4.6 leaves
 * out the runs of an hour (measured). So one more task begins a run in the hour after each such change: a run too many finds
 * nothing new, as ranges come from the cursor and not from the clock.
 */
export function scheduleExports(when: When, { run, clock, log }: ScheduleDeps): Schedule {
  const stopping = new AbortController();
  const begin = oneAtATime(
    async () => untilItSucceeds(run, stopping.signal, { clock, log }),
    stopping.signal,
    log,
  );
  const logged = { missedExecutionTolerance: LATE_MS, logger: cronLog(log) };
  const tasks = [
    scheduleCron(when.cron, begin, { ...logged, name: "export", timezone: when.timeZone }),
    scheduleCron(
      EVERY_HOUR,
      ({ date }) => {
        if (clocksChanged(when.timeZone, date)) begin();
      },
      { ...logged, name: "clock change", timezone: "Etc/UTC" },
    ),
  ];
  if (when.immediately) begin();
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(tasks.map(async (task) => task.destroy()));
      await begin.current();
    },
  };
}

/** Not node-cron's `noOverlap`: that knows of one task only. */
function oneAtATime(work: () => Promise<void>, signal: AbortSignal, log: Log) {
  let current: Promise<void> | undefined;
  const begin = (): void => {
    if (signal.aborted) return;
    if (current !== undefined) {
      log.warn("export skipped: the one before is still running");
      return;
    }
    current = work().finally(() => {
      current = undefined;
    });
  };
  return Object.assign(begin, { current: async () => current });
}

async function untilItSucceeds(
  run: ScheduleDeps["run"],
  signal: AbortSignal,
  { clock, log }: Omit<ScheduleDeps, "run">,
): Promise<void> {
  const isStopping = () => signal.aborted;
  while (!isStopping()) {
    try {
      await run(signal);
      return;
    } catch (error) {
      if (isStopping()) return;
      log.error("export failed", { error, retry_seconds: RETRY_AFTER_MS / 1000 });
      await clock.sleep(RETRY_AFTER_MS, signal);
    }
  }
}
