import type { Finding, Plan } from "./types/plan.ts";
import type { Run, RunRule, RunState, Trigger } from "./types/run.ts";

/** SQL: what {@link toRun} needs of a row of runs. */
export const runColumns = `id, target_key, runbook, state, namespace, app, trigger, rule, plan, plan_hash, preflight,
  progress, rollback, requested_by, retry_of, dry_run, sources, lease_token, deadline_at, state_since, correlation_id, traceparent,
  created_at, now() AS now`;

export interface RunRow {
  readonly id: string;
  readonly target_key: string;
  readonly runbook: string;
  readonly state: RunState;
  readonly namespace: string;
  readonly app: string;
  readonly trigger: Trigger;
  readonly rule: RunRule | null;
  readonly plan: Plan | null;
  readonly plan_hash: string | null;
  readonly preflight: readonly Finding[] | null;
  readonly progress: Run["progress"];
  readonly rollback: string | null;
  readonly requested_by: string | null;
  readonly retry_of: string | null;
  readonly dry_run: boolean;
  readonly sources: readonly string[];
  readonly lease_token: string;
  readonly deadline_at: Date;
  readonly state_since: Date;
  readonly now: Date;
  readonly correlation_id: string | null;
  readonly traceparent: string | null;
  readonly created_at: Date;
}

export function toRun(row: RunRow): Run {
  return {
    id: row.id,
    targetKey: row.target_key,
    runbook: row.runbook,
    state: row.state,
    namespace: row.namespace,
    app: row.app,
    trigger: row.trigger,
    sources: row.sources,
    progress: row.progress,
    leaseToken: row.lease_token,
    deadlineAt: row.deadline_at,
    stateSince: row.state_since,
    now: row.now,
    createdAt: row.created_at,
    ...decidedOf(row),
    ...originOf(row),
  };
}

/** What the decision and the planning have added. */
function decidedOf(row: RunRow) {
  return {
    rule: row.rule ?? undefined,
    plan: row.plan ?? undefined,
    planHash: row.plan_hash ?? undefined,
    preflight: row.preflight ?? [],
    rollback: row.rollback ?? undefined,
  };
}

/** Where it came from. */
function originOf(row: RunRow) {
  return {
    requestedBy: row.requested_by ?? undefined,
    retryOf: row.retry_of ?? undefined,
    dryRun: row.dry_run,
    correlationId: row.correlation_id ?? undefined,
    traceparent: row.traceparent ?? undefined,
  };
}
