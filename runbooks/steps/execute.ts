import { failpoint } from "../../lib/failpoint.ts";
import type { ApplyContext, Effect } from "../actions/types.ts";
import { authorityObjection } from "../authority.ts";
import { recordProgress } from "../ledger.ts";
import { ClusterError } from "../types/cluster.ts";
import type { Plan } from "../types/plan.ts";
import type { Run } from "../types/run.ts";
import { actionOf, finish, move, planOf, type Progress, type RunDeps } from "./step.ts";

/** A server that asks for patience gets at most this much of it at a time; then the run looks again. */
const PATIENCE_SECONDS_MAX = 30;

/** intent → verifying, or an end. The call may be repeated after a crash: the plan's fixed values make it one effect. */
export async function execute(run: Run, deps: RunDeps): Promise<Progress> {
  const plan = planOf(run);
  const objection =
    run.now > run.deadlineAt
      ? "the deadline passed before the cluster answered"
      : await authorityObjection(run, plan, deps);
  if (objection !== undefined) return giveUp(run, objection, deps);
  await failpoint("before-cluster-call");
  try {
    const action = actionOf(plan.action, deps);
    const effect = await action.apply(plan, contextOf(run, plan, deps), deps.cluster);
    await failpoint("after-cluster-call");
    return await conclude(run, plan, effect, deps);
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    // The call may have arrived all the same: the next try finds out, as long as the deadline lets it.
    if (error.retryable) return waitAsAsked(error);
    const { reason, message } = error;
    const name = reason === "pdb-misconfigured" ? "pdb_misconfigured" : reason;
    return finish(run, deps, "failed", name === undefined ? message : `${name}: ${message}`);
  }
}

/** An earlier call, before a crash or without an answer, may have arrived: it is not "nothing happened". */
async function giveUp(run: Run, objection: string, deps: RunDeps): Promise<Progress> {
  const { evicted } = run.progress;
  if (Array.isArray(evicted) && evicted.length > 0) {
    const why = `stopped after ${evicted.length} evictions: ${objection}`;
    return finish(run, deps, "failed", why);
  }
  const why = `${objection}; an earlier call may have arrived: a person must look`;
  return finish(run, deps, "unknown", why);
}

function contextOf(run: Run, plan: Plan, deps: RunDeps): ApplyContext {
  return {
    runId: run.id,
    progress: run.progress,
    now: run.now,
    stopReason: async () =>
      (await leaseObjection(run, deps)) ?? (await authorityObjection(run, plan, deps)),
    record: async (progress, detail) => {
      const event = { event: "progress", actor: "fettle", detail: { ...detail } };
      const audit = detail === undefined ? [] : [event];
      await recordProgress(run, { progress, audit }, deps.database);
    },
  };
}

/** A worker that was held up for long may have lost its run, or its time. */
async function leaseObjection(run: Run, { database }: RunDeps): Promise<string | undefined> {
  const { rows } = await database.query<{ late: boolean }>(
    `SELECT deadline_at < now() AS late FROM runs
      WHERE id = $1 AND lease_token = $2 AND lease_until > now()`,
    [run.id, run.leaseToken],
  );
  const [own] = rows;
  if (own === undefined) return "another worker has the run";
  return own.late ? "the run's deadline passed" : undefined;
}

async function conclude(run: Run, plan: Plan, effect: Effect, deps: RunDeps): Promise<Progress> {
  switch (effect.kind) {
    case "done": {
      const detail = { plan, already_done: effect.already };
      const audit = [{ event: "executed", actor: "fettle", detail }];
      return move(run, deps, { state: "verifying", audit });
    }
    case "checked": {
      const why = "the cluster would accept it; nothing was changed (dry-run)";
      return finish(run, deps, "skipped_dry_run", why);
    }
    case "stale":
      return finish(run, deps, "plan_stale", effect.why);
    case "refused":
      return finish(run, deps, "failed", `${effect.reason}: ${effect.why}`);
    case "wait":
      return { kind: "waiting", lookAfterSeconds: effect.seconds };
    case "stopped": {
      const part = effect.partial ? "a part is done" : "nothing was changed";
      const state = effect.partial ? "failed" : "cancelled";
      return finish(run, deps, state, `stopped: ${effect.why} (${part})`);
    }
  }
}

/** Without a word from the server the run is tried again as after any error. */
function waitAsAsked(error: ClusterError): Progress {
  if (error.retryAfterMs === undefined) throw error;
  const lookAfterSeconds = Math.min(error.retryAfterMs / 1000, PATIENCE_SECONDS_MAX);
  return { kind: "waiting", lookAfterSeconds };
}
