import type { Alert } from "../lib/contracts.ts";
import { decide, type Decision } from "./decide.ts";
import type { Facts } from "./facts.ts";
import type { Runbook } from "./types/intake.ts";
import type { Run } from "./types/run.ts";
import { targetKeyOf } from "./types/target.ts";
import { wishOf } from "./wish.ts";

export interface TryDeps {
  readonly facts: Facts;
  readonly catalog: readonly Runbook[];
  readonly cluster: string;
  /** The database's. */
  readonly now: Date;
}

/** What would become of an alert that came now. */
export type Trial =
  | { readonly kind: "resolved" }
  | { readonly kind: "no runbook" }
  | { readonly kind: "refused"; readonly runbook: string; readonly why: string }
  | {
      readonly kind: "decided";
      readonly runbook: string;
      readonly target: string;
      readonly decision: Decision;
    };

/**
 * match → find the target → decide, for an alert that nobody has sent. Nothing is written, and the cluster is not asked:
 * what planning would find out is not part of it.
 */
export async function tryAlert(
  alert: Alert,
  truncated: boolean,
  { facts, catalog, cluster, now }: TryDeps,
): Promise<Trial> {
  if (alert.status === "resolved") return { kind: "resolved" };
  const told = { ...alert, source: "pasted", truncated };
  const found = wishOf(told, { catalog, cluster, sourceNamespacesOf: () => null });
  if (found.kind === "none") return { kind: "no runbook" };
  if (found.kind === "refused") return { kind: "refused", runbook: found.runbook, why: found.why };
  const { runbook, target, trigger } = found.wish;
  const run: Run = {
    id: "", // no run's: none is left out when others are counted
    targetKey: targetKeyOf(target),
    runbook: runbook.id,
    state: "collected",
    namespace: target.namespace,
    app: target.app,
    trigger,
    rule: undefined,
    plan: undefined,
    planHash: undefined,
    preflight: [],
    progress: {},
    rollback: undefined,
    requestedBy: undefined,
    retryOf: undefined,
    dryRun: false,
    sources: [trigger.source],
    leaseToken: "0",
    deadlineAt: now,
    stateSince: now,
    now,
    correlationId: undefined,
    traceparent: undefined,
    createdAt: now,
  };
  const decision = decide(await facts.gather(run));
  return { kind: "decided", runbook: runbook.id, target: run.targetKey, decision };
}
