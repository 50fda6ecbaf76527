import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import type { Action } from "../actions/types.ts";
import type { Switches } from "../decide.ts";
import { moveRun, type Step } from "../ledger.ts";
import type { Policy } from "../policy.ts";
import type { BreakerView, Cluster, Enqueue, Plan, Run } from "../types.ts";

export interface RunDeps {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly cluster: Cluster;
  readonly actions: Readonly<Record<Plan["action"], Action>>;
  readonly policyFor: (run: Run) => Policy;
  readonly switches: Switches;
  readonly breakerView: BreakerView | undefined;
  readonly approvalSeconds: number;
  readonly verifySeconds: number;
  readonly leaseSeconds: number;
  /** This worker, in the lease. */
  readonly owner: string;
  readonly codeVersion: string;
  readonly log: Log;
  /** Counts a run's new state. */
  readonly moved: (state: Run["state"]) => void;
}

/** A step ends in the run's next state, or waits for a person, the cluster or an alert. */
export type Progress = { readonly kind: "moved"; readonly run: Run } | { readonly kind: "waiting" };

export async function move(
  run: Run,
  deps: RunDeps,
  step: Parameters<typeof moveRun>[1],
): Promise<Progress> {
  return { kind: "moved", run: await moveRun(run, step, deps.database) };
}

export async function finish(
  run: Run,
  deps: RunDeps,
  state: Step["state"],
  why: string,
  more: Partial<Step> = {},
  event: string = state,
): Promise<Progress> {
  return move(run, deps, { ...more, ...ending(state, why, event) });
}

export function ending(state: Step["state"], why: string, event: string = state): Step {
  return { state, outcome: why, audit: [{ event, actor: "fettle", detail: { why } }] };
}

export function planOf(run: Run): Plan {
  if (run.plan === undefined) throw new Error(`run ${run.id} is ${run.state} without a plan`);
  return run.plan;
}
