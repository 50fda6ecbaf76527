import { runCycle, type CycleDeps } from "./cycle.ts";
import type { WatchedMetric } from "./watched-metric.ts";

/** Runs a cycle at every whole step until the signal aborts. A cycle that took longer is followed by the next at once. */
export async function runForever(
  watched: readonly WatchedMetric[],
  deps: CycleDeps,
): Promise<void> {
  while (!deps.signal.aborted) {
    try {
      await runCycle(watched, deps);
    } catch (error) {
      deps.log.error("cycle failed", { error });
    }
    const now = deps.clock.now().getTime();
    await deps.clock.sleep(deps.step - (now % deps.step), deps.signal);
  }
}
