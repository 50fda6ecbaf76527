import express, { type Express } from "express";
import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Secret } from "../../lib/secret.ts";
import {
  answerApproval,
  findApproval,
  type Answer,
  type AnswerDeps,
  type AnswerOutcome,
  type Approval,
} from "../approval/answer.ts";
import { peopleOf } from "../approval/authorize.ts";
import { approverOf } from "../approval/links.ts";
import { composeRun } from "../notify/compose.ts";
import { answeredPage, personalPage } from "../pages/approval.ts";
import { sendPage } from "./answer.ts";
import { fromOwnPage } from "./guarded.ts";

const FORM_LIMIT_BYTES = 16 * 1024;

export interface ApprovalRouteDeps extends AnswerDeps {
  readonly approvers: readonly string[];
  readonly approvalSecret: Secret | undefined;
}

/** The page behind an approver's link. */
export function addApprovalRoutes(app: Express, deps: ApprovalRouteDeps): void {
  const form = express.urlencoded({ extended: false, limit: FORM_LIMIT_BYTES, parameterLimit: 10 });
  for (const verdict of ["approve", "reject"] as const) {
    app.get(`/${verdict}`, async (request, response) => {
      const link = await readLink(request.query, deps);
      const { approval } = link;
      const news = await composeRun(approval.runId, deps.database);
      if (news === undefined) throw unknownLink();
      if (approval.state === "pending")
        sendPage(response, personalPage({ approval, news }, { ...link, verdict }));
      else sendPage(response, closedPage(approval, approval.state, approval.decidedBy), 409);
    });
    app.post(`/${verdict}`, fromOwnPage, form, async (request, response) => {
      const { approval, approver: by, reason } = await readLink(request.body, deps);
      const answer: Answer = {
        approvalId: approval.id,
        verdict: verdict === "approve" ? "approved" : "rejected",
        by,
        via: "page",
        reason,
      };
      const outcome = await answerApproval(answer, deps.approvers, deps);
      const [status, text] = outcomePage(outcome, answer.verdict, approval);
      sendPage(response, text, status);
    });
  }
}

const linkSchema = z.object({
  id: z.string().regex(/^[\w-]{1,64}$/), // PostgreSQL takes no NUL
  // A person pastes the whole link, as it came.
  token: z
    .string()
    .max(2000)
    .transform((text) => /[?&]token=([\w-]{1,128})/.exec(text)?.[1] ?? text.trim()),
  reason: z
    .string()
    .max(500)
    .optional()
    .transform((reason) => (reason === "" ? undefined : reason)),
});

interface Link {
  readonly approval: Approval;
  readonly approver: string;
  readonly token: string;
  readonly reason: string | undefined;
}

/** One answer for every wrong link, so that nobody learns which requests exist. */
async function readLink(
  input: unknown,
  { database, approvers, approvalSecret }: ApprovalRouteDeps,
): Promise<Link> {
  const parsed = linkSchema.safeParse(input);
  if (!parsed.success || approvalSecret === undefined) throw unknownLink();
  const { id, token, reason } = parsed.data;
  const approval = await findApproval(id, database);
  const people = peopleOf(approval?.ruleApprovers ?? approvers);
  const approver = approval && approverOf(token, approval, people, approvalSecret);
  if (approval === undefined || approver === undefined) throw unknownLink();
  return { approval, approver, token, reason };
}

function unknownLink(): HttpProblem {
  return new HttpProblem(
    403,
    "Unknown link",
    "This link is not valid, or it was made for another request.",
  );
}

function outcomePage(
  outcome: AnswerOutcome,
  verdict: Answer["verdict"],
  approval: Approval,
): [status: number, text: string] {
  switch (outcome.kind) {
    case "decided": {
      const title = verdict === "approved" ? "Approved" : "Rejected";
      const end = verdict === "approved" ? "goes on" : "has ended";
      return [200, answeredPage(title, `Run ${outcome.runId} ${end}.`, outcome.runId)];
    }
    case "counted": {
      const text = `Your answer is one of ${outcome.have}; ${outcome.need} people must say yes. Run ${outcome.runId} waits.`;
      return [200, answeredPage("Counted", text, outcome.runId)];
    }
    case "closed":
      return [409, closedPage(approval, outcome.state, outcome.by)];
    case "not_allowed":
      throw new HttpProblem(403, "Not allowed", outcome.why);
    case "not_found":
      throw unknownLink();
  }
}

function closedPage({ runId }: Approval, state: string, by: string | undefined): string {
  const text = `This request is ${state}${by === undefined ? "" : ` by ${by}`}. Nothing was changed now.`;
  return answeredPage("Already decided", text, runId);
}
