import { silentLog } from "../../lib/log.ts";
import type { BreakerRow } from "../../runbooks/main.ts";
import { asUsage } from "../as-usage.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";
import { table } from "../table.ts";

interface ChangeOptions {
  readonly as: string;
  readonly reason: string;
}

/** `fettle breaker ls|show|open|close`: the circuit breakers, in the database that AIOPS_DATABASE_URL names. */
export const addBreakerCommands: AddCommands = (program, context) => {
  const breaker = groupOf(program, "breaker", "circuit breakers of targets and apps");
  breaker
    .command("ls")
    .description("list the breakers that are open, or were used in the last day")
    .option("--json", "print JSON")
    .action(async ({ json }: { json?: boolean }) => {
      const { breakers } = await import("../../runbooks/main.ts");
      const rows = await breakers(context.env, silentLog);
      if (json === true) context.out(JSON.stringify(rows));
      else context.out(rows.length === 0 ? "No breaker is open or in use." : tableOf(rows));
    });
  breaker
    .command("show <breaker>")
    .description("show one: <namespace>/<app>, <namespace>/<kind>/<name>, or a listed key")
    .option("--json", "print JSON")
    .action(async (named: string, { json }: { json?: boolean }) => {
      const { breakers } = await import("../../runbooks/main.ts");
      const rows = await asUsage(async () => breakers(context.env, silentLog, named));
      if (rows.length === 0)
        throw new CommandFailure(EXIT.notFound, `${named} was never used or opened`);
      context.out(json === true ? JSON.stringify(rows[0]) : tableOf(rows));
    });
  for (const [verb, state] of [
    ["open", "open"],
    ["close", "closed"],
  ] as const) {
    breaker
      .command(`${verb} <breaker>`)
      .description(
        state === "open"
          ? "stop all actions on an app or a target"
          : "let actions go on (approvers only)",
      )
      .requiredOption("--as <person>", "your name; kept in the audit trail")
      .requiredOption("--reason <text>", "why; kept in the audit trail")
      .action(async (key: string, options: ChangeOptions) => {
        await change(key, state, options, context);
      });
  }
};

async function change(
  key: string,
  state: "open" | "closed",
  { as: by, reason }: ChangeOptions,
  { env, out }: Context,
): Promise<void> {
  if (by.trim() === "" || reason.trim() === "")
    throw new CommandFailure(EXIT.usage, "--as and --reason must not be empty");
  const { setBreaker } = await import("../../runbooks/main.ts");
  const result = await asUsage(async () => setBreaker(env, { key, state, by, reason }, silentLog));
  if (result === "not_allowed")
    throw new CommandFailure(EXIT.refused, `${by} is not in RUNBOOK_APPROVERS`);
  out(result === "changed" ? `${key} is ${state} now` : `${key} is ${state} already`);
}

function tableOf(rows: readonly BreakerRow[]): string {
  const cells = rows.map(({ key, state, usedHour, usedDay, openedBy, reason }) => [
    key,
    state,
    String(usedHour),
    String(usedDay),
    state === "open" ? `${openedBy ?? ""}: ${reason ?? ""}` : "",
  ]);
  return table(["BREAKER", "STATE", "LAST HOUR", "LAST DAY", "OPENED BY"], cells);
}
