import type { Command } from "commander";
import { silentLog } from "../../lib/log.ts";
import type { Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";

interface ChangeOptions {
  readonly as: string;
  readonly reason?: string;
  readonly real?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `fettle runs cancel | retry`. */
export function addRunChanges(runs: Command, context: Context): void {
  runs
    .command("cancel <run>")
    .description("end a run that has done nothing yet; its request is closed with it")
    .requiredOption("--as <person>", "your name; kept in the audit trail")
    .option("--reason <text>", "why; kept in the audit trail")
    .option("--json", "print JSON")
    .action(async (id: string, options: ChangeOptions) => cancelRun(id, options, context));
  runs
    .command("retry <run>")
    .description("start a run that has ended again: a new run, through policy and approval")
    .requiredOption("--as <approver>", "your name; somebody else has to approve it")
    .option("--real", "let it act; without it, it is a dry run")
    .option("--yes", "do not ask whether it may act")
    .option("--json", "print JSON")
    .action(async (id: string, options: ChangeOptions) => retryRun(id, options, context));
}

async function cancelRun(
  runId: string,
  { as, reason, json }: ChangeOptions,
  { env, out }: Context,
): Promise<void> {
  const { cancel } = await import("../../runbooks/main.ts");
  const request = { runId, by: nameOf(as), via: "cli", reason } as const;
  const outcome = await cancel(env, request, silentLog);
  switch (outcome.kind) {
    case "cancelled":
      out(json === true ? JSON.stringify(outcome) : `${runId}: cancelled by ${as}`);
      return;
    case "not_found":
      throw new CommandFailure(EXIT.notFound, `there is no run ${runId}`);
    case "over":
      throw new CommandFailure(EXIT.refused, `${runId} is over already: ${outcome.state}`);
    case "too_late": {
      const why = `${runId} is ${outcome.state}: the cluster may have been called, which cannot be cancelled`;
      throw new CommandFailure(EXIT.refused, `${why} (fettle disable stops what is left of it)`);
    }
  }
}

async function retryRun(
  runId: string,
  { as, real, yes, json }: ChangeOptions,
  { env, out, ask }: Context,
): Promise<void> {
  const by = nameOf(as);
  if (real === true && yes !== true) {
    const answer = await ask(`Start ${runId} again, so that it may act? [y/N] `);
    if (answer === undefined)
      throw new CommandFailure(EXIT.usage, "--real needs --yes where nobody can be asked");
    if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailure(EXIT.refused, "not started");
  }
  const { retry } = await import("../../runbooks/main.ts");
  const mode = real === true ? "real" : "dry-run";
  const outcome = await retry(env, { runId, by, mode }, silentLog);
  switch (outcome.kind) {
    case "started": {
      const started = { ...outcome, retryOf: runId, mode };
      const text = `${outcome.runId}: started (${mode}) for ${runId}; fettle runs watch ${outcome.runId}`;
      out(json === true ? JSON.stringify(started) : text);
      return;
    }
    case "not_found":
      throw new CommandFailure(EXIT.notFound, `there is no run ${runId}`);
    case "not_allowed":
      throw new CommandFailure(EXIT.refused, `${by} may not: ${outcome.why}`);
    case "not_over":
      throw new CommandFailure(EXIT.refused, `${runId} goes on: it is ${outcome.state}`);
    case "nothing_to_do":
      throw new CommandFailure(EXIT.refused, `nothing was started: ${outcome.why}`);
  }
}

function nameOf(text: string): string {
  const name = text.trim();
  if (name === "" || /\p{Cc}/u.test(name))
    throw new CommandFailure(EXIT.usage, "--as must be a name");
  return name;
}
