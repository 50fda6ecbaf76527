import { runCycle, type CycleDeps } from "./cycle.ts";
import type { ModelInUse } from "./model-in-use.ts";
import type { WatchedMetric } from "./watched-metric.ts";

export interface ForeverDeps extends Omit<CycleDeps, "model"> {
  readonly model: ModelInUse;
}

/** Runs a cycle at every whole step until the signal aborts. A cycle that took longer is followed by the next at once. A cycle has one model. */
export async function runForever(
  watched: readonly WatchedMetric[],
  deps: ForeverDeps,
): Promise<void> {
  while (!deps.signal.aborted) {
    try {
      await runCycle(watched, { ...deps, model: deps.model.current() });
    } catch (error) {
      deps.log.error("cycle failed", { error });
    }
    const now = deps.clock.now().getTime();
    await deps.clock.sleep(deps.step - (now % deps.step), deps.signal);
  }
}
