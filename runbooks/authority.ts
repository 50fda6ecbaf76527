import { findApproval } from "./approve.ts";
import { findRule } from "./policy.ts";
import type { Plan, Run } from "./types.ts";
import type { RunDeps } from "./steps/step.ts";

/**
 * Why the plan may not be carried out now, or undefined. Asked again before every step that leads to the cluster, because
 * switches are thrown, rules removed and people disabled between a click and the action.
 */
export async function authorityObjection(
  run: Run,
  plan: Plan,
  { database, switches, policyFor }: RunDeps,
): Promise<string | undefined> {
  if (!switches.enabled) return "remediation was disabled after the approval";
  if (switches.dryRun && !plan.dryRun) return "dry-run was switched on after the approval";
  const rule = findRule(policyFor(run), run.trigger.trigger, run.trigger.reason);
  if (rule?.action !== plan.action) return "the policy does not allow it any more";
  if (!switches.requireApproval) return undefined;
  const approval = await findApproval(run.id, database);
  if (approval?.state !== "approved" || approval.planHash !== run.planHash) {
    return "there is no approval of this plan";
  }
  const { decidedBy = "" } = approval;
  return switches.approvers.includes(decidedBy)
    ? undefined
    : `${decidedBy} may not approve any more`;
}
