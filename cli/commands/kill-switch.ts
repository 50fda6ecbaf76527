import { parseDuration } from "../../lib/duration.ts";
import { silentLog } from "../../lib/log.ts";
import type { KillOutcome } from "../../runbooks/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";

interface KillOptions {
  readonly scope: string;
  readonly reason: string;
  readonly as?: string;
  readonly for?: string;
  readonly json?: boolean;
}

/** `fettle disable | enable`: the kill switch. It needs the database's address, and nothing else. */
export const addKillSwitchCommands: AddCommands = (program, context) => {
  program
    .command("disable")
    .description(
      "switch remediation off; no change reaches a cluster any more, also by runs that are under way",
    )
    .requiredOption("--reason <text>", "why; kept in the audit trail, and shown to people")
    .option("--scope <scope>", "*, <namespace> or <namespace>/<app>", "*")
    .option("--for <time>", "until then, such as 90s, 15m, 2h or 7d; without it until enable")
    .option("--as <name>", "who does it; the login name when left out")
    .option("--json", "print JSON")
    .action(async (options: KillOptions) => {
      const seconds = options.for === undefined ? undefined : parseDuration(options.for);
      if (options.for !== undefined && (seconds === undefined || seconds === 0))
        throw new CommandFailure(
          EXIT.usage,
          `--for must be a length of time such as 90s, 15m, 2h or 7d, got ${JSON.stringify(options.for)}`,
        );
      const { disable } = await import("../../runbooks/main.ts");
      const request = { ...requestOf(options, context), seconds };
      report(await disable(context.env, request, silentLog), options, context);
    });
  program
    .command("enable")
    .description("take a disable back; its scope must be the same")
    .requiredOption("--reason <text>", "why; kept in the audit trail")
    .option("--scope <scope>", "*, <namespace> or <namespace>/<app>", "*")
    .option("--as <name>", "who does it; the login name when left out")
    .option("--json", "print JSON")
    .action(async (options: KillOptions) => {
      const { enable } = await import("../../runbooks/main.ts");
      const outcome = await enable(context.env, requestOf(options, context), silentLog);
      report(outcome, options, context);
      if (outcome.kind === "done" && !outcome.changed)
        throw new CommandFailure(EXIT.notFound, `${options.scope} was not switched off`);
    });
};

function requestOf({ scope, reason, as }: KillOptions, { env }: Context) {
  const by = as ?? env["USER"] ?? env["LOGNAME"] ?? "";
  if (by === "") throw new CommandFailure(EXIT.usage, "--as is required: there is no login name");
  return { scope, reason, by };
}

function report(outcome: KillOutcome, { scope, json }: KillOptions, { out }: Context): void {
  if (outcome.kind === "no scope")
    throw new CommandFailure(
      EXIT.usage,
      `--scope must be ${outcome.expected}, got ${JSON.stringify(scope)}`,
    );
  const { off } = outcome;
  if (json === true) out(JSON.stringify({ off }));
  else if (off.length === 0) out("Nothing is switched off.");
  else
    out(
      off
        .map((stop) => {
          const until = stop.until === null ? "until enabled" : `until ${stop.until.toISOString()}`;
          return `off: ${stop.scope}  ${until}  by ${stop.by}: ${stop.reason}`;
        })
        .join("\n"),
    );
}
