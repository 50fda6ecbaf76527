import type { DecisionInput, Switches } from "../decide.ts";
import type { WishDeps } from "../wish.ts";

/** One alert of the past, from its first firing to its end. Times are milliseconds since 1970. */
export interface PastAlert {
  readonly at: number;
  /** Infinity when it still fires, or nobody knows when it ended. */
  readonly resolvedAt: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly source: string;
  /** Alertmanager cut its group. */
  readonly truncated: boolean;
}

export interface Period {
  readonly from: number;
  readonly to: number;
}

/** Where past alerts come from: those that began in the period, in the order in which they began. */
export interface AlertHistory {
  readonly name: string;
  /** In portions, so that no more than one of them is in memory. */
  read(period: Period): AsyncIterable<readonly PastAlert[]>;
}

/** Everything but the policy that a simulated decision depends on. */
export interface SimulatedWorld extends WishDeps {
  readonly switches: Switches;
  readonly scope: DecisionInput["scope"];
  /** A target is left alone after a run. */
  readonly cooldownSeconds: number;
  readonly approvalSeconds: number;
  /** The alert must have resolved this long after the action at the latest. */
  readonly verifySeconds: number;
  /** How long people are taken to need for an answer. */
  readonly approvalDelaySeconds: number;
  /** From the answer to the effect in the cluster. */
  readonly actionDelaySeconds: number;
  /** Workloads of each namespace, for the stop when too many are sick: alerts do not say how many are well. Null: unknown. */
  readonly workloads: number | null;
}
