import type { Database } from "../lib/postgres.ts";
import type { Secret } from "../lib/secret.ts";
import {
  answerApproval,
  findApproval,
  type Answer,
  type AnswerOutcome,
} from "./approval/answer.ts";
import { peopleOf } from "./approval/authorize.ts";
import { linkToken } from "./approval/links.ts";
import type { DecisionRecord } from "./decision-record.ts";
import type { Enqueue } from "./types/intake.ts";
import type { Finding } from "./types/plan.ts";
import type { Trigger } from "./types/run.ts";

/** A run as the command line shows it. */
export interface RunSummary {
  readonly id: string;
  readonly target: string;
  readonly runbook: string;
  readonly state: string;
  readonly outcome: string | null;
  readonly plan: string | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
}

export interface RunDetail extends RunSummary {
  readonly trigger: Trigger;
  readonly decision: DecisionRecord | null;
  readonly preflight: readonly Finding[];
  readonly rollback: string | null;
  readonly requestedBy: string | null;
  readonly retryOf: string | null;
  readonly dryRun: boolean;
  readonly audit: readonly {
    readonly ts: Date;
    readonly event: string;
    readonly actor: string;
    readonly detail: object;
  }[];
}

const SUMMARY = `id, target_key AS target, runbook, state, outcome, plan->>'summary' AS plan,
  created_at AS "createdAt", finished_at AS "finishedAt"`;

/** The newest runs first. */
export async function listRuns(database: Database, limit: number): Promise<readonly RunSummary[]> {
  const { rows } = await database.query<RunSummary>(
    `SELECT ${SUMMARY} FROM runs ORDER BY created_at DESC LIMIT $1`,
    [limit],
  );
  return rows;
}

export async function showRun(database: Database, id: string): Promise<RunDetail | undefined> {
  const { rows } = await database.query<Omit<RunDetail, "audit">>(
    `SELECT ${SUMMARY}, trigger, decision, coalesce(preflight, '[]') AS preflight, rollback, requested_by AS "requestedBy",
            retry_of AS "retryOf", dry_run AS "dryRun"
       FROM runs WHERE id = $1`,
    [id],
  );
  const [run] = rows;
  if (run === undefined) return undefined;
  const audit = await database.query<RunDetail["audit"][number]>(
    "SELECT ts, event, actor, detail FROM runbooks_audit WHERE run_id = $1 ORDER BY id",
    [id],
  );
  return { ...run, audit: audit.rows };
}

interface FoundEvent {
  readonly id: string;
  readonly ts: Date;
  readonly event: string;
  readonly actor: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A run's events behind one, and whether more can come: a run that is over had said all before. */
export async function findEvents(
  database: Database,
  runId: string,
  after: string,
): Promise<
  | {
      readonly run: RunSummary;
      readonly over: boolean;
      readonly events: readonly FoundEvent[];
    }
  | undefined
> {
  // The run first: the row that tells of its end is written together with it.
  const { rows: runs } = await database.query<RunSummary>(
    `SELECT ${SUMMARY} FROM runs WHERE id = $1`,
    [runId],
  );
  const [run] = runs;
  if (run === undefined) return undefined;
  const { rows: events } = await database.query<FoundEvent>(
    "SELECT id, ts, event, actor, detail FROM runbooks_audit WHERE run_id = $1 AND id > $2 ORDER BY id",
    [runId, after],
  );
  return { run, over: run.finishedAt !== null, events };
}

/** Answers the open request of a run. `runId` may also be the request's own id. */
export async function answerRun(
  { runId, ...answer }: Omit<Answer, "approvalId"> & { readonly runId: string },
  approvers: readonly string[],
  deps: { readonly database: Database; readonly enqueue: Enqueue },
): Promise<AnswerOutcome> {
  const approval = await findApproval(runId, deps.database);
  if (approval === undefined) return { kind: "not_found" };
  return answerApproval({ ...answer, approvalId: approval.id }, approvers, deps);
}

/** One link per approver, to be handed to that person only: who holds a link answers in that person's name. */
export async function approvalLinks(
  runId: string,
  {
    database,
    approvers,
    secret,
    url,
  }: { database: Database; approvers: readonly string[]; secret: Secret; url: string },
): Promise<
  readonly { readonly approver: string; readonly approve: string; readonly reject: string }[]
> {
  const approval = await findApproval(runId, database);
  if (approval?.state !== "pending") return [];
  return peopleOf(approval.ruleApprovers ?? approvers).map((approver) => {
    const query = new URLSearchParams({
      id: approval.id,
      token: linkToken(approval, approver, secret),
    }).toString();
    return { approver, approve: `${url}/approve?${query}`, reject: `${url}/reject?${query}` };
  });
}
