import { countOpenEpisodes } from "../episode.ts";
import { recordProgress } from "../ledger.ts";
import { ClusterError } from "../types/cluster.ts";
import type { Run } from "../types/run.ts";
import { verifyEffect } from "../verify.ts";
import { actionOf, ending, move, planOf, type Progress, type RunDeps } from "./step.ts";

/** Shorter than the sweep's own pace: each sweep looks. */
const LOOK_SECONDS = 1;
/** While the metric is only watched. */
const HOLD_LOOK_SECONDS = 5;

/** verifying → succeeded, failed or unknown; never success by default */
export async function verify(run: Run, deps: RunDeps): Promise<Progress> {
  const settled = await hasSettled(run, deps);
  const firing = await countOpenEpisodes(run.id, deps.database);
  const quiet = settled === true && firing === 0;
  const health = quiet ? await deps.verifier.healthy(run) : undefined;
  const { wellSince } = run.progress;
  const verdict = verifyEffect({
    settled,
    firing,
    health,
    wellSeconds: typeof wellSince === "string" ? secondsTo(run, new Date(wellSince)) : 0,
    secondsSince: secondsTo(run, run.stateSince),
    limitSeconds: deps.verifySeconds,
    holdSeconds: run.rule?.options.verifySeconds ?? deps.verifyHoldSeconds,
  });
  if (verdict.kind === "wait") {
    await rememberWell(run, verdict.well, deps);
    return { kind: "waiting", lookAfterSeconds: verdict.well ? HOLD_LOOK_SECONDS : LOOK_SECONDS };
  }
  const event = verdict.state === "succeeded" ? "verified" : verdict.state;
  const { state, why } = verdict;
  return move(run, deps, async (tx) => {
    await deps.guard.outcome(run, state, tx);
    return ending(state, why, event);
  });
}

/** Since when it has been well; forgotten as soon as it is not. It is no news for the record. */
async function rememberWell(run: Run, well: boolean, { database }: RunDeps): Promise<void> {
  const { wellSince, ...progress } = run.progress;
  if (well === (wellSince !== undefined)) return;
  const next = well ? { ...progress, wellSince: run.now.toISOString() } : progress;
  await recordProgress(run, { progress: next, audit: [] }, database);
}

function secondsTo({ now }: Run, since: Date): number {
  return (now.getTime() - since.getTime()) / 1000;
}

/** Undefined when the cluster does not answer: the next look may be luckier, until the time is up. */
async function hasSettled(run: Run, deps: RunDeps): Promise<boolean | undefined> {
  const plan = planOf(run);
  try {
    return await actionOf(plan.action, deps).settled(plan, deps.cluster);
  } catch (error) {
    if (error instanceof ClusterError) return undefined;
    throw error;
  }
}
