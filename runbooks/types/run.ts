import type { Finding, Plan } from "./plan.ts";
import type { PolicyRule } from "./policy.ts";

export const ACTIVE_STATES = [
  "matched",
  "collecting",
  "collected",
  "approval_pending",
  "approved",
  "intent",
  "verifying",
] as const;
export type ActiveState = (typeof ACTIVE_STATES)[number];

const SKIPPED_STATES = [
  "skipped_disabled",
  "skipped_not_allowed",
  "skipped_no_policy",
  "skipped_no_approval",
  "skipped_window",
  "skipped_cooldown",
  "skipped_max_unhealthy",
  "skipped_circuit",
  "skipped_shadow",
  "skipped_dry_run",
  "skipped_truncated",
  "skipped_target",
] as const;
export type SkippedState = (typeof SKIPPED_STATES)[number];

/** How a run may end. */
export const FINAL_STATES = [
  "succeeded",
  "failed",
  "unknown",
  "rejected",
  "expired",
  "cancelled",
  "plan_stale",
  "resolved_before_action",
  ...SKIPPED_STATES,
] as const;
type FinalState = (typeof FINAL_STATES)[number];

export type RunState = ActiveState | FinalState;

/** The alert that opened a run, as decide() sees it. */
export interface Trigger {
  readonly trigger: string;
  readonly reason: string;
  readonly alertname: string;
  readonly source: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  /** Alertmanager cut the group: the blast radius is not known. */
  readonly truncated: boolean;
}

/** The line of the policy that a run follows, and the key under which it stood. */
export interface RunRule extends PolicyRule {
  readonly key: string;
}

export interface Run {
  readonly id: string;
  readonly targetKey: string;
  readonly runbook: string;
  readonly state: RunState;
  readonly namespace: string;
  readonly app: string;
  readonly trigger: Trigger;
  readonly rule: RunRule | undefined;
  readonly plan: Plan | undefined;
  readonly planHash: string | undefined;
  readonly preflight: readonly Finding[];
  /** What the action has done so far, in its own words. */
  readonly progress: Progress;
  readonly rollback: string | undefined;
  /** The person who started it; undefined when an alert did. */
  readonly requestedBy: string | undefined;
  readonly retryOf: string | undefined;
  /** Started again only to see what would happen. */
  readonly dryRun: boolean;
  /** Every sender whose alert is part of it. */
  readonly sources: readonly string[];
  readonly leaseToken: string;
  /** Nothing is changed in the cluster after this time. */
  readonly deadlineAt: Date;
  readonly stateSince: Date;
  /** The database's time when this was read: one clock for all replicas. */
  readonly now: Date;
  readonly correlationId: string | undefined;
  readonly traceparent: string | undefined;
  readonly createdAt: Date;
}

/** A JSON object that only the action itself reads. */
type Progress = Readonly<Record<string, unknown>>;

/** A row of the record. */
export interface AuditEvent {
  readonly event: string;
  readonly actor: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}
