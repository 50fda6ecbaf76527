import express, { type Express, type RequestHandler, type Response } from "express";
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
import { findRun } from "../ledger.ts";
import { answeredPage, approvalPage } from "../pages/approval.ts";

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
      const run = await findRun(link.approval.runId, deps.database);
      if (run === undefined) throw unknownLink();
      const { approval } = link;
      const open = approval.state === "pending";
      const text = open
        ? approvalPage({ ...link, run, verdict })
        : closedPage(approval.state, approval.decidedBy);
      sendPage(response, open ? 200 : 409, text);
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
      sendPage(response, ...outcomePage(outcome, answer.verdict));
    });
  }
}

/**
 * A form on somebody else's page must not press our button. Browsers say where a form stands; `Origin` says nothing here,
 * because our pages send no referrer. Programs that say nothing are let through: they need the link's token anyway.
 */
const fromOwnPage: RequestHandler = (request, _response, next) => {
  const site = request.get("sec-fetch-site") ?? "none";
  if (site !== "same-origin" && site !== "none")
    throw new HttpProblem(403, "Not allowed", "Answer on the page that the link opens.");
  next();
};

const linkSchema = z.object({
  id: z.string().max(64),
  token: z.string().max(128),
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
): [status: number, text: string] {
  switch (outcome.kind) {
    case "decided":
      return [
        200,
        answeredPage(
          verdict === "approved" ? "Approved" : "Rejected",
          `Run ${outcome.runId} goes on.`,
        ),
      ];
    case "counted":
      return [
        200,
        answeredPage(
          "Counted",
          `Your answer is one of ${outcome.have}; ${outcome.need} people must say yes. Run ${outcome.runId} waits.`,
        ),
      ];
    case "closed":
      return [409, closedPage(outcome.state, outcome.by)];
    case "not_allowed":
      throw new HttpProblem(403, "Not allowed", outcome.why);
    case "not_found":
      throw unknownLink();
  }
}

function closedPage(state: string, by: string | undefined): string {
  return answeredPage(
    "Already decided",
    `This request is ${state}${by === undefined ? "" : ` by ${by}`}. Nothing was changed now.`,
  );
}

function sendPage(response: Response, status: number, text: string): void {
  response.status(status).set("Cache-Control", "no-store").type("html").send(text);
}
