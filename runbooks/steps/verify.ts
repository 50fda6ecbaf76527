import { countOpenEpisodes } from "../episode.ts";
import type { Run } from "../types.ts";
import { verifyEffect } from "../verify.ts";
import { finish, planOf, type Progress, type RunDeps } from "./step.ts";

const VERIFY_INTERVAL_MS = 1_000;

/** verifying → succeeded or failed; never success by default */
export async function verify(run: Run, deps: RunDeps): Promise<Progress> {
  const plan = planOf(run);
  const workload = await deps.cluster.workload(plan.target);
  const firing = await countOpenEpisodes(run.id, deps.database);
  const settled = workload !== undefined && deps.actions[plan.action].settled(plan, workload);
  const secondsSince = (run.now.getTime() - run.stateSince.getTime()) / 1000;
  const verdict = verifyEffect({ settled, firing, secondsSince, limitSeconds: deps.verifySeconds });
  if (verdict.kind === "wait")
    return { kind: "waiting", until: new Date(Date.now() + VERIFY_INTERVAL_MS) };
  return finish(
    run,
    deps,
    verdict.state,
    verdict.why,
    {},
    verdict.state === "succeeded" ? "verified" : verdict.state,
  );
}
