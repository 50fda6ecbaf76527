import { silentLog } from "../../lib/log.ts";
import { limitOf, plain } from "../as-usage.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";
import { table } from "../table.ts";

interface AnswerOptions {
  readonly as: string;
  readonly reason?: string;
  readonly json?: boolean;
}

/** `fettle approve | reject`: people's answer to a run, on the database that AIOPS_DATABASE_URL names. */
export const addApprovalCommands: AddCommands = (program, context) => {
  groupOf(program, "approvals", "requests that people answer")
    .command("ls")
    .description("list the requests that wait, those that expire first at the top")
    .option("--decided", "those that were answered or have expired, the newest first")
    .option("--limit <n>", "how many", "20")
    .option("--json", "print JSON")
    .action(async (options: ApprovalListOptions) => printApprovals(options, context));
  for (const [verb, verdict] of [
    ["approve", "approved"],
    ["reject", "rejected"],
  ] as const) {
    program
      .command(`${verb} <run>`)
      .description(`${verb} the plan that a run waits with`)
      .requiredOption("--as <approver>", "your name as it stands in RUNBOOK_APPROVERS")
      .option("--reason <text>", "why; kept in the audit trail")
      .option("--json", "print JSON")
      .action(async (runId: string, options: AnswerOptions) => {
        await answerRun(runId, verdict, options, context);
      });
  }
};

interface ApprovalListOptions {
  readonly decided?: boolean;
  readonly limit: string;
  readonly json?: boolean;
}

async function printApprovals(
  { decided, limit, json }: ApprovalListOptions,
  { env, out }: Context,
): Promise<void> {
  const { approvalList } = await import("../../runbooks/main.ts");
  const state = decided === true ? "decided" : "pending";
  const found = await approvalList(env, { state, limit: limitOf(limit) }, silentLog);
  if (json === true) out(JSON.stringify(found));
  else if (found.length === 0)
    out(state === "pending" ? "Nobody is asked for anything." : "Nothing was decided yet.");
  else {
    const rows = found.map(
      ({ runId, state: now, expiresAt, votes, quorum, decidedBy, dryRun, plan }) =>
        [
          runId,
          now,
          expiresAt.toISOString(),
          `${votes} of ${quorum}`,
          decidedBy ?? "",
          `${dryRun ? "DRY-RUN " : ""}${plan ?? ""}`,
        ].map(plain),
    );
    out(table(["RUN", "STATE", "EXPIRES", "YES", "BY", "PLAN"], rows));
  }
}

async function answerRun(
  runId: string,
  verdict: "approved" | "rejected",
  options: AnswerOptions,
  context: Context,
) {
  const { answer } = await import("../../runbooks/main.ts");
  const request = { runId, verdict, by: options.as, via: "cli", reason: options.reason } as const;
  const outcome = await answer(context.env, request, silentLog);
  switch (outcome.kind) {
    case "decided":
      context.out(
        options.json === true
          ? JSON.stringify(outcome)
          : `${outcome.runId}: ${verdict} by ${options.as}`,
      );
      return;
    case "counted":
      context.out(
        options.json === true
          ? JSON.stringify(outcome)
          : `${outcome.runId}: counted, ${outcome.have} of ${outcome.need} have said yes`,
      );
      return;
    case "not_found":
      throw new CommandFailure(EXIT.notFound, `${runId} has no request to answer`);
    case "not_allowed":
      throw new CommandFailure(EXIT.refused, `${options.as} may not: ${outcome.why}`);
    case "closed":
      throw new CommandFailure(
        EXIT.refused,
        `already ${outcome.state}${outcome.by === undefined ? "" : ` by ${outcome.by}`}`,
      );
  }
}
