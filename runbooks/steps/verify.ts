import { countOpenEpisodes } from "../episode.ts";
import { ClusterError, type Run } from "../types.ts";
import { verifyEffect } from "../verify.ts";
import { finish, planOf, type Progress, type RunDeps } from "./step.ts";

/** verifying → succeeded, failed or unknown; never success by default */
export async function verify(run: Run, deps: RunDeps): Promise<Progress> {
  const settled = await hasSettled(run, deps);
  const firing = await countOpenEpisodes(run.id, deps.database);
  const secondsSince = (run.now.getTime() - run.stateSince.getTime()) / 1000;
  const verdict = verifyEffect({ settled, firing, secondsSince, limitSeconds: deps.verifySeconds });
  if (verdict.kind === "wait") return { kind: "waiting" };
  const event = verdict.state === "succeeded" ? "verified" : verdict.state;
  return finish(run, deps, verdict.state, verdict.why, {}, event);
}

/** Undefined when the cluster does not answer: the next look may be luckier, until the time is up. */
async function hasSettled(run: Run, { cluster, actions }: RunDeps): Promise<boolean | undefined> {
  const plan = planOf(run);
  try {
    const workload = await cluster.workload(plan.target);
    return workload !== undefined && actions[plan.action].settled(workload);
  } catch (error) {
    if (error instanceof ClusterError) return undefined;
    throw error;
  }
}
