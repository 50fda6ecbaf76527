import { canonicalJson, sha256Hex } from "../../lib/canonical.ts";
import { failpoint } from "../../lib/failpoint.ts";
import type { Prepared } from "../actions/types.ts";
import { decide } from "../decide.ts";
import { decisionRecord } from "../decision-record.ts";
import { findAlertPods } from "../episode.ts";
import { ClusterError } from "../types/cluster.ts";
import type { Run, RunRule } from "../types/run.ts";
import { parseTargetKey } from "../types/target.ts";
import { actionOf, finish, move, secondsBetween, type Progress, type RunDeps } from "./step.ts";

/** collected → approval_pending, approved or skipped_* */
export async function decideAndAsk(run: Run, deps: RunDeps): Promise<Progress> {
  if (run.now > run.deadlineAt) {
    return finish(run, deps, "failed", "no plan could be made before the run's deadline");
  }
  const input = await deps.facts.gather(run);
  const decision = decide(input);
  const record = {
    decision: decisionRecord(input, decision, deps.codeVersion),
    ...(input.policy.kind === "known" ? { policySha256: input.policy.document.sha256 } : {}),
  };
  const { verdict } = decision;
  if (verdict.kind === "skip") return finish(run, deps, verdict.state, verdict.why, record);
  const { rule } = verdict;
  if (verdict.kind === "shadow")
    return finish(run, deps, "skipped_shadow", `${rule.text} only watches`, { ...record, rule });

  const prepared = await prepare(run, rule, verdict.dryRun, deps);
  if (prepared.kind === "refused")
    return finish(run, deps, "skipped_target", prepared.why, { ...record, rule });
  const { plan, preflight, rollback, blast } = prepared;
  const planHash = sha256Hex(canonicalJson(plan));
  const step = { ...record, rule, plan, planHash, preflight, rollback };
  const stop = preflight.find(({ severity }) => severity === "stop");
  if (stop !== undefined) return finish(run, deps, "skipped_target", stop.text, step);

  const detail = { plan, plan_hash: planHash, path: decision.path };
  await failpoint("decided");
  const { approval } = verdict;
  if (approval === undefined) {
    return move(run, deps, {
      ...step,
      state: "approved",
      audit: [{ event: "approved", actor: "policy", detail }],
    });
  }
  return move(run, deps, async (tx) => {
    const seconds = deps.approvalSeconds;
    const request = { run, planHash, ...approval, seconds, effect: plan.effect, blast };
    const expiresAt = await deps.approvals.request(tx, request);
    const audit = [
      { event: "approval_pending", actor: "fettle", detail: { ...detail, expires_at: expiresAt } },
    ];
    const lookAfterSeconds = secondsBetween(run.now, expiresAt);
    return { ...step, state: "approval_pending", audit, lookAfterSeconds };
  });
}

/** The plan, or why there is none. What the cluster refuses for good is an outcome; what may pass is tried again. */
async function prepare(run: Run, rule: RunRule, dryRun: boolean, deps: RunDeps): Promise<Prepared> {
  const target = parseTargetKey(run.targetKey, run.app);
  const action = actionOf(rule.action, deps);
  if (!action.kinds.includes(target.kind)) {
    return { kind: "refused", why: `${rule.action} cannot be done to a ${target.kind}` };
  }
  const alertPods = await findAlertPods(run.id, deps.database);
  const request = { target, rule, alertPods, now: run.now, dryRun, runId: run.id };
  try {
    return await action.prepare(request, deps.cluster);
  } catch (error) {
    if (error instanceof ClusterError && !error.retryable)
      return { kind: "refused", why: error.message };
    throw error;
  }
}
