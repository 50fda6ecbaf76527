import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import type { Actions } from "../actions/index.ts";
import type { Action } from "../actions/types.ts";
import type { AuthorityDeps } from "../authority.ts";
import type { Facts } from "../facts.ts";
import { moveRun, type Step } from "../ledger.ts";
import type { Approvals } from "../types/approval.ts";
import type { Guard } from "../types/breaker.ts";
import type { Cluster } from "../types/cluster.ts";
import type { CollectorGate } from "../types/collect.ts";
import type { Enqueue } from "../types/intake.ts";
import type { Plan } from "../types/plan.ts";
import type { ActionName } from "../types/policy.ts";
import type { Run } from "../types/run.ts";
import type { Verifier } from "../types/verify.ts";

/** What the steps of a run work with. */
export interface RunDeps extends AuthorityDeps {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly facts: Facts;
  readonly guard: Guard;
  readonly approvals: Approvals;
  readonly collector: CollectorGate;
  readonly verifier: Verifier;
  readonly cluster: Cluster;
  readonly actions: Actions;
  readonly approvalSeconds: number;
  readonly verifySeconds: number;
  /** How long a metric must stay well; 0 when the first good look is enough. */
  readonly verifyHoldSeconds: number;
  readonly leaseSeconds: number;
  /** This worker, in the lease. */
  readonly owner: string;
  readonly codeVersion: string;
  readonly log: Log;
  /** Counts a run's new state. */
  readonly moved: (state: Run["state"]) => void;
}

/** A step ends in the run's next state, or waits for a person, the cluster or an alert. */
export type Progress =
  | { readonly kind: "moved"; readonly run: Run }
  /** It gives its worker back. Undefined seconds: the next look is the one that was planned before. */
  | { readonly kind: "waiting"; readonly lookAfterSeconds?: number };

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

/** @throws Error for an action that a newer version's policy may have named */
export function actionOf(name: ActionName, { actions }: Pick<RunDeps, "actions">): Action {
  const action = actions[name];
  if (action === undefined) throw new Error(`this version cannot do ${name}`);
  return action;
}

export function secondsBetween(from: Date, to: Date): number {
  return Math.max(0, (to.getTime() - from.getTime()) / 1000);
}
