import type { Clock } from "../../lib/clock.ts";

/** A clock that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /** Moves the time on; sleeps that are due end in the order of their times, and what waited for them runs. */
  advance(milliseconds: number): Promise<void>;
  /** Sleeps that have not ended: a test may wait until its subject has gone to sleep. */
  readonly sleepers: number;
}

interface Sleeper {
  readonly wakeAtMs: number;
  wake(): void;
}

export function fakeClock(start: Date | string): FakeClock {
  let nowMs = new Date(start).getTime();
  const sleepers = new Set<Sleeper>();
  const firstDueBy = (limitMs: number) =>
    [...sleepers]
      .filter(({ wakeAtMs }) => wakeAtMs <= limitMs)
      .sort((a, b) => a.wakeAtMs - b.wakeAtMs)[0];
  return {
    now: () => new Date(nowMs),
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) {
          resolve();
          return;
        }
        const wake = () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const sleeper: Sleeper = { wakeAtMs: nowMs + milliseconds, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", wake);
      }),
    advance: async (milliseconds) => {
      const endMs = nowMs + milliseconds;
      // One at a time: who wakes may go to sleep again within the same span.
      for (let due = firstDueBy(endMs); due !== undefined; due = firstDueBy(endMs)) {
        nowMs = Math.max(nowMs, due.wakeAtMs);
        due.wake();
        await settle();
      }
      nowMs = endMs;
      await settle();
    },
    get sleepers() {
      return sleepers.size;
    },
  };
}

/** Lets everything run that is ready to run. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
