import type { Run } from "../types/run.ts";
import { move, type Progress, type RunDeps } from "./step.ts";

/** Diagnostics help people to answer; they must not make an incident longer. */
const WAIT_SECONDS_MAX = 20;
const LOOK_SECONDS = 1;

/** collecting → collected, with what there is by then */
export async function awaitDiagnostics(run: Run, deps: RunDeps): Promise<Progress> {
  const complete = await deps.collector.settled(run.id);
  const waited = (run.now.getTime() - run.stateSince.getTime()) / 1000;
  if (!complete && waited < WAIT_SECONDS_MAX)
    return { kind: "waiting", lookAfterSeconds: LOOK_SECONDS };
  const audit = [{ event: "collector_finished", actor: "fettle", detail: { complete } }];
  return move(run, deps, { state: "collected", audit });
}
