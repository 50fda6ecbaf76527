import type { Cluster, Plan, Run, Target, Workload } from "../types.ts";

type Effect =
  /** The cluster has it now, whether by this call or by one before a crash. */
  | { readonly kind: "done"; readonly already: boolean }
  /** The server checked it and would have done it. */
  | { readonly kind: "checked" }
  /** The object is not what the approval was for. */
  | { readonly kind: "stale"; readonly why: string };

/** Something that can be done to a target. A plan is applied at most once, however often `apply` is called with it. */
export interface Action {
  readonly name: Plan["action"];
  /** Why it makes no sense for this workload, or undefined. */
  readonly objection: (workload: Workload) => string | undefined;
  readonly plan: (
    target: Target,
    workload: Workload,
    options: { readonly now: Date; readonly dryRun: boolean },
  ) => Plan;
  readonly apply: (plan: Plan, runId: Run["id"], cluster: Cluster) => Promise<Effect>;
  /** Whether the cluster has finished what was asked of it. */
  readonly settled: (workload: Workload) => boolean;
}
