/** Everything that a policy may name. actions/index.ts says which of them this version can do. */
export type ActionName =
  "restart_pods" | "rollout_restart" | "scale_up" | "scale_down" | "restart_container";

/** `shadow` only writes down what would have been done; `approve` asks; `auto` acts. */
type Mode = "shadow" | "approve" | "auto";

/** One line of the policy: for this trigger (and reason) this action is wanted. */
export interface PolicyRule {
  readonly trigger: string;
  readonly reason: string | undefined;
  readonly action: ActionName;
  readonly argument: string | undefined;
  readonly options: RuleOptions;
  /** The text it was read from, for explanations. */
  readonly text: string;
}

export interface RuleOptions {
  readonly mode?: Mode;
  /** Pods at least, and at most. */
  readonly min?: number;
  readonly max?: number;
  readonly windows?: readonly ChangeWindow[];
  readonly cooldownSeconds?: number;
  readonly quorum?: number;
  readonly approvers?: readonly string[];
  readonly hpa?: "refuse" | "raise-min";
  /** Whether the metric is asked once more before the action. */
  readonly recheck?: boolean;
  readonly batch?: number;
  readonly verifySeconds?: number;
  /** Above this share of sick workloads in the namespace nothing is done; the service's own limit when undefined. */
  readonly maxUnhealthyPercent?: number;
}

/** When something may be changed, in the people's own time. */
export interface ChangeWindow {
  /** 1 is Monday, 7 is Sunday. */
  readonly days: readonly number[];
  /** Minutes after midnight; a window with `to` before `from` ends the next day. */
  readonly from: number;
  readonly to: number;
  /** IANA name. */
  readonly zone: string;
  /** As it was written, for people. */
  readonly text: string;
}

/** A whole policy. */
export interface PolicyDocument {
  /** SHA-256 of what was read: a decision names the version that it was made with. */
  readonly sha256: string;
  readonly source: "configmap" | "env" | "file";
  /** The policy's own kill switch: why nothing may be done at all; undefined while it is off. */
  readonly disabled?: string;
  /** Sorted by key: `<namespace>.<app>`, `<namespace>.*`, `*.<app>`, `default`, `env`. */
  readonly entries: readonly { readonly key: string; readonly rules: readonly PolicyRule[] }[];
}

/** An unknown policy allows nothing. */
export type PolicyReading =
  | { readonly kind: "known"; readonly document: PolicyDocument }
  | { readonly kind: "unknown"; readonly why: string };

/** Where the policy comes from. Never rejects. */
export interface PolicySource {
  current(): Promise<PolicyReading>;
}

/** Which line holds for an alert, and which keys were looked at, the most specific first. */
export interface Explanation {
  readonly key: string | undefined;
  readonly rule: PolicyRule | undefined;
  readonly considered: readonly {
    readonly key: string;
    readonly result: "matched" | "no such key" | "no rule for it" | "lower priority";
  }[];
}

/** The ConfigMap that holds the policy. */
export interface PolicyMap {
  /** `<namespace>/<name>`, for messages. */
  readonly name: string;
  /** @throws ClusterError */
  read(): Promise<PolicyMapContent>;
  /**
   * Waits for a change since `version`: "look" when there may be one, "lost" when it cannot be watched. Never rejects.
   */
  changed(version: string, signal: AbortSignal): Promise<"look" | "lost">;
}

interface PolicyMapContent {
  /** Undefined when there is no such ConfigMap. */
  readonly data: Readonly<Record<string, string>> | undefined;
  /** The server's, for a watch. */
  readonly version: string;
  /** The person who changed it last, when the map says so (annotation `fettle.dev/changed-by`). */
  readonly changedBy: string | undefined;
}
