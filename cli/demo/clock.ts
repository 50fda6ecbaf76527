import { systemClock, type Clock } from "../../lib/clock.ts";

/** A clock that begins at `start` and runs `rate` times as fast as the real one: a day of metrics in seconds. */
export function acceleratedClock(start: Date, rate: number): Clock {
  const began = performance.now();
  return {
    now: () => new Date(start.getTime() + (performance.now() - began) * rate),
    sleep: async (ms, signal) => systemClock.sleep(ms / rate, signal),
  };
}
