import { failpoint } from "../../lib/failpoint.ts";
import { countOpenEpisodes } from "../episode.ts";
import { recordProgress } from "../ledger.ts";
import { ClusterError } from "../types/cluster.ts";
import type { Run } from "../types/run.ts";
import { verifyEffect } from "../verify.ts";
import { ending, move, planOf, type Progress, type RunDeps } from "./step.ts";

/** Shorter than the sweep's own pace: each sweep looks. */
const LOOK_SECONDS = 1;
/** While the metric is only watched. */
const HOLD_LOOK_SECONDS = 5;
/** More than a takeover after a crash needs (35 s). */
const UNSEEN_SECONDS_MAX = 60;

/** verifying → succeeded, failed or unknown; never success by default */
export async function verify(run: Run, deps: RunDeps): Promise<Progress> {
  const settled = await hasSettled(run, deps);
  const firing = await countOpenEpisodes(run.id, deps.database);
  const quiet = settled === true && firing === 0;
  const health = quiet ? await deps.verifier.healthy(run) : undefined;
  const verdict = verifyEffect({
    settled,
    firing,
    health,
    wellSeconds: wellSecondsOf(run),
    secondsSince: secondsTo(run, run.stateSince),
    limitSeconds: deps.verifySeconds,
    holdSeconds: run.rule?.options.verifySeconds ?? health?.holdSeconds ?? deps.verifyHoldSeconds,
  });
  if (verdict.kind === "wait") {
    await rememberWell(run, verdict.well, deps);
    await failpoint("verifying-look");
    return { kind: "waiting", lookAfterSeconds: verdict.well ? HOLD_LOOK_SECONDS : LOOK_SECONDS };
  }
  const event = verdict.state === "succeeded" ? "verified" : verdict.state;
  const { state, why } = verdict;
  return move(run, deps, async (tx) => {
    await deps.guard.outcome(run, state, tx);
    return ending(state, why, event);
  });
}

/** How long it has been seen well. Longer without a look, as while nobody ran, and nobody knows what was in between. */
function wellSecondsOf(run: Run): number {
  const { wellSince, wellSeenAt } = run.progress;
  if (typeof wellSince !== "string" || typeof wellSeenAt !== "string") return 0;
  return secondsTo(run, new Date(wellSeenAt)) > UNSEEN_SECONDS_MAX
    ? 0
    : secondsTo(run, new Date(wellSince));
}

/** Since when it has been well, and that it was seen; forgotten as soon as it is not. It is no news for the record. */
async function rememberWell(run: Run, well: boolean, { database }: RunDeps): Promise<void> {
  const { wellSince, wellSeenAt, ...progress } = run.progress;
  if (!well && wellSince === undefined && wellSeenAt === undefined) return;
  const now = run.now.toISOString();
  const since = wellSecondsOf(run) > 0 ? wellSince : now;
  const next = well ? { ...progress, wellSince: since, wellSeenAt: now } : progress;
  await recordProgress(run, { progress: next, audit: [] }, database);
}

function secondsTo({ now }: Run, since: Date): number {
  return (now.getTime() - since.getTime()) / 1000;
}

/** Undefined when it cannot be known now: the next look may be luckier, until the time is up. */
async function hasSettled(run: Run, deps: RunDeps): Promise<boolean | undefined> {
  const plan = planOf(run);
  const action = deps.actions[plan.action];
  if (action === undefined) return undefined; // an older version, or one without a hypervisor: a person must look
  try {
    return await action.settled(plan, deps.cluster);
  } catch (error) {
    if (error instanceof ClusterError) return undefined;
    throw error;
  }
}
