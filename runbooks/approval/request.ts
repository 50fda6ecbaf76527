import { newId } from "../../lib/id.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import type { ApprovalRequest, Approvals, UserGroups } from "../types/approval.ts";
import type { RuleOptions } from "../types/policy.ts";
import type { Run } from "../types/run.ts";
import { findApproval, type Approval } from "./answer.ts";
import { allowListFor, rightOf, type AllowList } from "./authorize.ts";

interface ApprovalDeps {
  readonly database: Database;
  /** RUNBOOK_APPROVERS */
  readonly approvers: readonly string[];
  /** Where four eyes look at everything that touches most of an app. */
  readonly productionNamespaces?: readonly string[];
  readonly groups?: UserGroups | undefined;
}

/** People's side of a run, in the database. */
export function openApprovals(deps: ApprovalDeps): Approvals {
  return {
    request: async (tx, request) => requestApproval(tx, request, deps.productionNamespaces ?? []),
    close: closeApproval,
    objection: async (run, rule = {}) => objectionTo(run, rule, deps),
  };
}

/** What is left of the run's time when the last moment of its approval comes. */
const ACTION_SECONDS_MIN = 60;

/** An answer that comes when the run may not act any more would be a lie: the request ends before the run's deadline. */
async function requestApproval(
  tx: Queryable,
  request: ApprovalRequest,
  productionNamespaces: readonly string[],
): Promise<Date> {
  const { run, planHash, approvers, seconds } = request;
  const quorum = Math.max(request.quorum, forcedQuorum(request, productionNamespaces));
  const { rows } = await tx.query<{ expires_at: Date }>(
    `INSERT INTO approvals (id, run_id, plan_hash, expires_at, quorum, approvers)
     SELECT $1, id, $3, least(now() + make_interval(secs => $4), deadline_at - make_interval(secs => $5)), $6, $7
       FROM runs WHERE id = $2 RETURNING expires_at`,
    [newId("apr"), run.id, planHash, seconds, ACTION_SECONDS_MIN, quorum, approvers],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the approval returned no row");
  return row.expires_at;
}

const FOUR_EYES = 2;

/** Two people, whatever the policy says, where a mistake takes a whole app away. */
function forcedQuorum(
  { run, effect, blast }: ApprovalRequest,
  productionNamespaces: readonly string[],
): number {
  if (effect?.kind === "scale" && effect.to === 0) return FOUR_EYES;
  const most = blast !== undefined && blast.affected * 2 > blast.of;
  return most && productionNamespaces.includes(run.namespace) ? FOUR_EYES : 1;
}

async function closeApproval(
  tx: Queryable,
  runId: string,
  state: "expired" | "cancelled",
): Promise<boolean> {
  const { rowCount } = await tx.query(
    "UPDATE approvals SET state = $2, decided_at = now(), decided_via = 'fettle' WHERE run_id = $1 AND state = 'pending'",
    [runId, state],
  );
  return rowCount > 0;
}

async function objectionTo(
  run: Run,
  rule: RuleOptions,
  { database, approvers, groups }: ApprovalDeps,
): Promise<string | undefined> {
  const approval = await findApproval(run.id, database);
  if (approval?.state !== "approved" || approval.planHash !== run.planHash)
    return "there is no approval of this plan";
  const then = allowListFor(approval, approvers);
  const now = { allowed: rule.approvers ?? approvers, known: approvers };
  const lost = await lostRights(approval, [then, now], groups);
  const left = approval.votes.length - lost.length;
  if (left < approval.quorum) return `${lost.join(", ")} may not approve any more`;
  const { quorum = 1 } = rule;
  return left < quorum
    ? `the policy's rule asks ${quorum} people now, and ${left} said yes`
    : undefined;
}

/** Those who said yes and may not any more: they must stand in the list of then, and in that of now. */
async function lostRights(
  { votes }: Approval,
  lists: readonly AllowList[],
  groups: UserGroups | undefined,
): Promise<readonly string[]> {
  const lost: string[] = [];
  for (const { account, person } of votes) {
    const rights = await Promise.all(lists.map(async (list) => rightOf(account, list, groups)));
    if (rights.some(({ kind }) => kind === "may_not")) lost.push(person);
  }
  return lost;
}
