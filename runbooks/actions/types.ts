import type { Cluster } from "../types/cluster.ts";
import type { Finding, Plan } from "../types/plan.ts";
import type { ActionName, PolicyRule } from "../types/policy.ts";
import type { Run } from "../types/run.ts";
import type { Target } from "../types/target.ts";

/** Something that can be done to a target. A plan has one effect, however often `apply` is called with it. */
export interface Action {
  readonly name: ActionName;
  readonly kinds: readonly Target["kind"][];
  /** Reads what stands behind the action's colon in a policy. */
  readonly readArgument: (
    text: string | undefined,
  ) => { readonly problem: string } | { readonly value: string | undefined };
  /** Looks at the target, and freezes what would be done. Changes nothing. */
  prepare(request: PrepareRequest, cluster: Cluster): Promise<Prepared>;
  /** Does the next part of the plan. Called again after a crash or a wait: it finds out what is done already. */
  apply(plan: Plan, context: ApplyContext, cluster: Cluster): Promise<Effect>;
  /** Whether the cluster has finished what was asked of it; undefined when that cannot be known. */
  settled(plan: Plan, cluster: Cluster): Promise<boolean | undefined>;
}

export interface PrepareRequest {
  readonly target: Target;
  readonly rule: PolicyRule;
  /** Names of the pods that the alerts are about. */
  readonly alertPods: readonly string[];
  readonly now: Date;
  readonly dryRun: boolean;
  readonly runId: string;
}

export type Prepared =
  | {
      readonly kind: "plan";
      readonly plan: Plan;
      readonly preflight: readonly Finding[];
      /** What a person would do to take it back. */
      readonly rollback: string;
      /** Pods that the plan touches, and pods that there are. */
      readonly blast: { readonly affected: number; readonly of: number };
    }
  | { readonly kind: "refused"; readonly why: string };

export interface ApplyContext {
  readonly runId: string;
  readonly progress: Run["progress"];
  /** The database's time. */
  readonly now: Date;
  /** Why to stop: the kill switch, a lost lease, the deadline. Asked before every write. */
  readonly stopReason: () => Promise<string | undefined>;
  /** Writes down how far it is; with a detail for the record as well. Throws when another worker has the run. */
  readonly record: (progress: Run["progress"], detail?: object) => Promise<void>;
}

export type Effect =
  /** The cluster has it now, whether by this call or by one before a crash. */
  | { readonly kind: "done"; readonly already: boolean }
  /** The server checked it and would have done it. */
  | { readonly kind: "checked" }
  /** The object is not what the approval was for. */
  | { readonly kind: "stale"; readonly why: string }
  /** The cluster says no, and will go on doing so. */
  | { readonly kind: "refused"; readonly reason: string; readonly why: string }
  /** Not now: the run gives its worker back. */
  | { readonly kind: "wait"; readonly seconds: number; readonly why: string }
  /** Somebody or something said stop; `partial` when a part is done. */
  | { readonly kind: "stopped"; readonly why: string; readonly partial: boolean };
