import type { Queryable } from "../../lib/postgres.ts";
import type { PlanEffect } from "./plan.ts";
import type { RuleOptions } from "./policy.ts";
import type { Run } from "./run.ts";

/** What people are asked for. */
export interface ApprovalRequest {
  readonly run: Run;
  readonly planHash: string;
  /** How many different people must say yes. */
  readonly quorum: number;
  /** Who may answer. */
  readonly approvers: readonly string[];
  readonly seconds: number;
  /** What the plan would do, and to how many pods of how many: some of it needs two people whatever the policy says. */
  readonly effect?: PlanEffect;
  readonly blast?: { readonly affected: number; readonly of: number };
}

/** A chat's groups of people. Never rejects. */
export interface UserGroups {
  /** The members' ids; undefined when they cannot be known, which lets nobody in. */
  members(groupId: string): Promise<readonly string[] | undefined>;
}

/** People's side of a run. */
export interface Approvals {
  /** Writes the request, in the transaction in which the run begins to wait for it. Returns when it expires. */
  request(tx: Queryable, request: ApprovalRequest): Promise<Date>;
  /** Ends the waiting without a person; false when somebody was faster. */
  close(tx: Queryable, runId: string, state: "expired" | "cancelled"): Promise<boolean>;
  /**
   * Why the run has no valid approval now, or undefined: people lose their right between a click and the action.
   *
   * @param rule the policy's options as they are now: whom it does not name any more has not approved
   */
  objection(run: Run, rule?: RuleOptions): Promise<string | undefined>;
}
