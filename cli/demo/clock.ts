import { systemClock, type Clock } from "../../lib/clock.ts";

const TICK_MS = 25;
/** A process that was not let run for longer than this has lost the rest: nobody could look at what happened meanwhile. */
const TICK_MAX_MS = 250;

export interface AcceleratedClock extends Clock {
  /** It stands still until then. */
  readonly run: () => void;
}

/**
 * A clock that begins at `start` and runs `rate` times as fast as the real one: a day of metrics in seconds. It waits for a
 * machine that is held up, since a second that is lost would be minutes of metrics.
 */
export function acceleratedClock(start: Date, rate: number): AcceleratedClock {
  let passed = 0;
  return {
    now: () => new Date(start.getTime() + passed * rate),
    sleep: async (ms, signal) => systemClock.sleep(ms / rate, signal),
    run: () => {
      let last = performance.now();
      setInterval(() => {
        const now = performance.now();
        passed += Math.min(now - last, TICK_MAX_MS);
        last = now;
      }, TICK_MS).unref();
    },
  };
}
