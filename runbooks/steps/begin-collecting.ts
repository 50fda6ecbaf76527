import type { Run } from "../types/run.ts";
import { move, type Progress, type RunDeps } from "./step.ts";

/** matched → collecting, or collected when there is nothing to collect */
export async function beginCollecting(run: Run, deps: RunDeps): Promise<Progress> {
  return move(run, deps, async (tx) => {
    const ordered = await deps.collector.begin(tx, run);
    // Without a collection nothing happens here that the record would have to tell.
    if (!ordered) return { state: "collected", audit: [] };
    return { state: "collecting", audit: [{ event: "collector_started", actor: "fettle" }] };
  });
}
