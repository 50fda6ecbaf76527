import type { Target } from "./target.ts";

/** A container of the hypervisor, as an action needs to know it. */
export interface Container {
  /** Its identity, so that one of the same name that was made anew is known for another; "" where none is told. */
  readonly uid: string;
  /** `running`, `stopped`, `paused`…, in the hypervisor's words. */
  readonly state: string;
  /** RFC 3339; undefined where it is not told. */
  readonly startedAt: string | undefined;
}

interface ContainerRestart {
  /** The same key is one restart, however often it is asked for. */
  readonly key: string;
  /** The hypervisor only checks. */
  readonly dryRun: boolean;
}

export type RestartAnswer =
  /** The operation's id, for {@link Containers.operation}; undefined where the hypervisor tells none. */
  | { readonly kind: "accepted"; readonly operation: string | undefined }
  /** Something else is being done to it: a snapshot, another restart. */
  | { readonly kind: "busy"; readonly why: string }
  | { readonly kind: "gone" };

export type OperationState =
  | { readonly kind: "running" | "finished" | "unknown" }
  | { readonly kind: "failed"; readonly why: string };

/** The hypervisor, as the actions need it. Errors are ClusterError. */
export interface Containers {
  /** Undefined when there is none of this name in the project. */
  find(target: Target): Promise<Container | undefined>;
  restart(target: Target, request: ContainerRestart): Promise<RestartAnswer>;
  operation(id: string): Promise<OperationState>;
}
