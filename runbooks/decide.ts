import { breakerRefusal, type BreakerState } from "./breaker.ts";
import { findRule, type Policy } from "./policy.ts";
import type { ActionName, BreakerLimits, SkippedState, Trigger } from "./types.ts";

/** The operator's switches, as they stood when the decision was made. */
export interface Switches {
  readonly enabled: boolean;
  readonly dryRun: boolean;
  readonly requireApproval: boolean;
  readonly approvers: readonly string[];
  readonly limits: BreakerLimits;
}

export interface DecisionInput {
  readonly alert: Pick<Trigger, "trigger" | "reason" | "labels" | "truncated">;
  readonly policy: Policy;
  readonly breaker: BreakerState;
  readonly switches: Switches;
  /** RFC 3339. */
  readonly now: string;
}

type Verdict =
  | { readonly kind: "skip"; readonly state: SkippedState; readonly why: string }
  | {
      readonly kind: "act";
      readonly action: ActionName;
      readonly approval: boolean;
      readonly dryRun: boolean;
    };

export interface Decision {
  readonly verdict: Verdict;
  /** Every gate that was passed or that refused, in order: the answer to "why?". */
  readonly path: readonly string[];
}

/**
 * May something be done about this alert? Pure: the same input gives the same decision, in production, in a replay and in
 * a backtest. The order of the lines is the order of the gates; whatever is not known is refused.
 */
export function decide({ alert, policy, breaker, switches }: DecisionInput): Decision {
  const path: string[] = [];
  const pass = (gate: string) => path.push(gate);
  const skip = (state: SkippedState, why: string): Decision => ({
    verdict: { kind: "skip", state, why },
    path: [...path, `${state}: ${why}`],
  });

  if (!switches.enabled) return skip("skipped_disabled", "RUNBOOK_AUTOFIX_ENABLED is false");
  pass("remediation is enabled");

  if (alert.truncated)
    return skip("skipped_truncated", "Alertmanager cut the group, so its extent is not known");
  pass("the group of alerts is whole");

  const rule = findRule(policy, alert.trigger, alert.reason);
  if (rule === undefined) {
    const wanted = alert.reason === "" ? alert.trigger : `${alert.trigger}:${alert.reason}`;
    return skip("skipped_no_policy", `policy "${policy.key}" has no rule for ${wanted}`);
  }
  pass(`policy "${policy.key}" says ${rule.text}`);

  const refusal = breakerRefusal(breaker, switches.limits);
  if (refusal !== undefined) return skip("skipped_circuit", refusal);
  pass("the circuit breaker has room");

  if (switches.requireApproval && switches.approvers.length === 0) {
    return skip("skipped_no_approval", "RUNBOOK_APPROVERS is empty: nobody may approve");
  }
  pass(switches.requireApproval ? `asks ${switches.approvers.join(", ")}` : "needs no approval");

  const { requireApproval: approval, dryRun } = switches;
  return { verdict: { kind: "act", action: rule.action, approval, dryRun }, path };
}
