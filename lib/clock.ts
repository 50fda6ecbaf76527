import { setTimeout as delay } from "node:timers/promises";

/** Where a service takes the time from. Production uses {@link systemClock}; the demo an accelerated one, tests a fake. */
export interface Clock {
  now(): Date;
  /** Resolves after `ms` milliseconds of this clock, or at once (without an error) when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
};
