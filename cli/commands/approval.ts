import { silentLog } from "../../lib/log.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";

interface AnswerOptions {
  readonly as: string;
  readonly reason?: string;
  readonly json?: boolean;
}

/** `fettle approve | reject`: people's answer to a run, on the database that AIOPS_DATABASE_URL names. */
export const addApprovalCommands: AddCommands = (program, context) => {
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
