import { monitorEventLoopDelay } from "node:perf_hooks";

/** Later than this, an answer would come too late for the sender anyway. */
const LATE_NANOSECONDS = 1e9;
const LOOK_MS = 1_000;

/** Bodies of all requests together; each may have 16 MiB. */
const BODIES_MAX_BYTES = 64 * 1024 * 1024;

/** What a receiver has in its hands, and whether it can take more. */
export interface Load {
  /** Why nothing more is taken now; undefined when it is. */
  refusal(): string | undefined;
  /** Counts the bytes of a body that is read or waits to be stored. False: there is no room for them. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  /** From now on everything is refused: the process is about to end. */
  drain(): void;
}

/** @param inboxIsFull whether too many deliveries wait to be looked at */
export function watchLoad(inboxIsFull: () => boolean): Load & { readonly stop: () => void } {
  const loop = watchEventLoop();
  let bytes = 0;
  let draining = false;
  return {
    refusal: () => {
      if (draining) return "This process is about to end";
      if (loop.isLate()) return "This process is overloaded";
      return inboxIsFull() ? "Too many alerts are waiting" : undefined;
    },
    take: (more) => {
      if (bytes + more > BODIES_MAX_BYTES) return false;
      bytes += more;
      return true;
    },
    give: (less) => {
      bytes -= less;
    },
    drain: () => {
      draining = true;
    },
    stop: loop.stop,
  };
}

/** Looks at the longest block of the last one to two seconds. */
function watchEventLoop(): { readonly isLate: () => boolean; readonly stop: () => void } {
  const histogram = monitorEventLoopDelay({ resolution: 20 });
  histogram.enable();
  let before = 0;
  const timer = setInterval(() => {
    before = histogram.max;
    histogram.reset();
  }, LOOK_MS).unref();
  return {
    isLate: () => Math.max(before, histogram.max) > LATE_NANOSECONDS,
    stop: () => {
      clearInterval(timer);
      histogram.disable();
    },
  };
}
