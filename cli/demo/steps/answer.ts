import { answer, type RunDetail } from "../../../runbooks/main.ts";
import { CommandFailure, EXIT } from "../../exit-code.ts";
import { APPROVER } from "../environment.ts";
import type { DemoWorld } from "../world.ts";

/** Asks the person at the terminal, and hands the answer to the runbooks service's own approval. */
export async function answerPlan(
  run: RunDetail,
  { context, options, services, narrator, log }: DemoWorld,
): Promise<void> {
  narrator.step("Approval");
  const verdict = await verdictOf(context.ask, options.yes);
  const request = {
    runId: run.id,
    verdict,
    by: APPROVER,
    via: "terminal",
    reason: undefined,
  } as const;
  const outcome = await answer(services.env, request, log);
  if (outcome.kind !== "decided")
    throw new CommandFailure(EXIT.error, `the answer was not taken: ${outcome.kind}`);
  narrator.say(`${verdict} by "${APPROVER}"${options.yes ? " (--yes)" : ""}, written down`);
  if (verdict === "rejected")
    throw new CommandFailure(EXIT.refused, "you rejected the plan; nothing was done");
}

async function verdictOf(
  ask: DemoWorld["context"]["ask"],
  yes: boolean,
): Promise<"approved" | "rejected"> {
  if (yes) return "approved";
  const text = await ask("      Approve this plan (a dry run)? [y/N] ");
  if (text === undefined)
    throw new CommandFailure(EXIT.usage, "there is no terminal to ask on; run it with --yes");
  return /^y(es)?$/i.test(text.trim()) ? "approved" : "rejected";
}
