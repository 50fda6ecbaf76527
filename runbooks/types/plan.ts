import type { ActionName } from "./policy.ts";
import type { Target } from "./target.ts";

/** What would be done, frozen before anybody is asked: the approval is for exactly this, by its hash. */
export interface Plan {
  readonly action: ActionName;
  /** The policy line's argument, such as `+1`. */
  readonly argument: string | undefined;
  readonly target: Target;
  /** The object's identity: a workload of the same name that was made anew is another one. */
  readonly uid: string;
  /** As it was read. It moves with every status update: compare generation and uid to see a change by somebody. */
  readonly resourceVersion: string;
  /** Part of the plan, so that an approval of a dry run never lets a real one through. */
  readonly dryRun: boolean;
  readonly effect: PlanEffect;
  readonly summary: string;
}

/** Fixed values only, so that the same plan has one effect however often it is carried out. */
export type PlanEffect =
  | {
      readonly kind: "restart";
      /** RFC 3339; the value of the restart annotation. */
      readonly restartedAt: string;
      /** `metadata.generation` when the plan was made: if it moves, somebody else changed the object. */
      readonly generation: number;
    }
  | {
      readonly kind: "evict";
      readonly pods: readonly { readonly name: string; readonly uid: string }[];
      /** Pods at a time; the next ones only when these are ready again. */
      readonly batch: number;
    }
  | {
      readonly kind: "scale";
      readonly from: number;
      readonly to: number;
      /** The autoscaler whose minimum is raised instead of the workload's own number. */
      readonly hpa?: { readonly name: string; readonly minFrom: number; readonly minTo: number };
    }
  | {
      readonly kind: "container";
      readonly name: string;
      /** RFC 3339: a later start means that it was restarted already. */
      readonly startedAt: string;
    };

/** What was found out about a plan before anybody was asked. `stop` ends the run. */
export interface Finding {
  readonly severity: "stop" | "warn" | "info";
  readonly about:
    "hpa" | "pdb" | "paused" | "rollout" | "gitops" | "quota" | "replicas" | "dry-run" | "owner";
  readonly text: string;
}
