import { canonicalJson, sha256Hex } from "../../lib/canonical.ts";
import type { Action } from "../actions/types.ts";
import { requestApproval } from "../approve.ts";
import { decide, type Decision, type DecisionInput } from "../decide.ts";
import { readBreaker } from "../guard.ts";
import {
  ClusterError,
  type Cluster,
  type Plan,
  type Run,
  type Target,
  type Workload,
} from "../types.ts";
import { finish, move, type Progress, type RunDeps } from "./step.ts";

/** matched → approval_pending, approved or skipped_* */
export async function decideAndAsk(run: Run, deps: RunDeps): Promise<Progress> {
  if (run.now > run.deadlineAt) {
    return finish(run, deps, "failed", "no plan could be made before the run's deadline");
  }
  const breaker = await readBreaker(run.targetKey, deps.database, deps.breakerView);
  const { switches } = deps;
  const input = {
    alert: run.trigger,
    policy: deps.policyFor(run),
    breaker,
    switches,
    now: run.now.toISOString(),
  };
  const decision = decide(input);
  const record = decisionRecord(input, decision, deps.codeVersion);
  const { verdict } = decision;
  if (verdict.kind === "skip")
    return finish(run, deps, verdict.state, verdict.why, { decision: record });

  const action = deps.actions[verdict.action];
  const planned = await planFor(run, action, verdict.dryRun, deps);
  if (typeof planned === "string")
    return finish(run, deps, "skipped_target", planned, { decision: record });
  const planHash = sha256Hex(canonicalJson(planned));
  const step = { plan: planned, planHash, decision: record };
  const detail = { plan: planned, plan_hash: planHash, path: decision.path };
  if (!verdict.approval) {
    return move(run, deps, {
      ...step,
      state: "approved",
      audit: [{ event: "approved", actor: "policy", detail }],
    });
  }
  return move(run, deps, async (tx) => {
    const expiresAt = await requestApproval(tx, { run, planHash, seconds: deps.approvalSeconds });
    const audit = [
      { event: "approval_pending", actor: "fettle", detail: { ...detail, expires_at: expiresAt } },
    ];
    return { ...step, state: "approval_pending", audit };
  });
}

/** The plan, or why there is none for this workload. */
async function planFor(
  run: Run,
  action: Action,
  dryRun: boolean,
  { cluster }: RunDeps,
): Promise<Plan | string> {
  const [clusterName = "", namespace = "", , name = ""] = run.targetKey.split("/");
  const target = { cluster: clusterName, namespace, kind: "deployment", name } as const;
  const workload = await readWorkload(target, cluster);
  if (typeof workload === "string") return workload;
  if (workload === undefined) return `there is no Deployment ${namespace}/${name}`;
  return action.objection(workload) ?? action.plan(target, workload, { now: run.now, dryRun });
}

/** What the cluster refuses for good (no right, no such address) is an outcome; what may pass is tried again. */
async function readWorkload(
  target: Target,
  cluster: Cluster,
): Promise<Workload | string | undefined> {
  try {
    return await cluster.workload(target);
  } catch (error) {
    if (error instanceof ClusterError && !error.retryable) return error.message;
    throw error;
  }
}

/** Everything that the decision was made from, so that it can be replayed byte for byte. */
function decisionRecord(input: DecisionInput, decision: Decision, codeVersion: string): object {
  const canonical = canonicalJson(input);
  return {
    input,
    input_sha256: sha256Hex(canonical),
    policy_sha256: input.policy.sha256,
    code_version: codeVersion,
    ...decision,
  };
}
