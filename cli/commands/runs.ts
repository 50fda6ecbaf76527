import { silentLog } from "../../lib/log.ts";
import type { RunDetail, RunSummary } from "../../runbooks/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { table } from "../table.ts";

/** `fettle runs`: what runs did and do, from the database that AIOPS_DATABASE_URL names. */
export const addRunCommands: AddCommands = (program, context) => {
  program
    .command("runs [run]")
    .description("list the newest runs, or show one with its decision and its audit trail")
    .option("--limit <n>", "how many", "20")
    .option(
      "--links",
      "print each approver's links of a waiting run (hand them to that person only)",
    )
    .option("--json", "print JSON")
    .action(
      async (
        id: string | undefined,
        options: { limit: string; links?: boolean; json?: boolean },
      ) => {
        if (id === undefined) await printRuns(options, context);
        else if (options.links === true) await printLinks(id, options, context);
        else await printRun(id, options, context);
      },
    );
};

async function printRuns(
  { limit, json }: { limit: string; json?: boolean },
  { env, out }: Context,
): Promise<void> {
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > 1_000) {
    throw new CommandFailure(
      EXIT.usage,
      `--limit must be an integer from 1 to 1000, got ${JSON.stringify(limit)}`,
    );
  }
  const { runs } = await import("../../runbooks/main.ts");
  const found = await runs(env, count, silentLog);
  if (json === true) out(JSON.stringify(found));
  else
    out(
      found.length === 0
        ? "No runs yet."
        : table(["RUN", "TARGET", "STATE", "SINCE", "OUTCOME"], found.map(rowOf)),
    );
}

function rowOf({ id, target, state, createdAt, outcome, plan }: RunSummary): readonly string[] {
  return [id, target, state, createdAt.toISOString(), outcome ?? plan ?? ""];
}

async function printRun(
  id: string,
  { json }: { json?: boolean },
  { env, out }: Context,
): Promise<void> {
  const { run } = await import("../../runbooks/main.ts");
  const found = await run(env, id, silentLog);
  if (found === undefined) throw new CommandFailure(EXIT.notFound, `there is no run ${id}`);
  out(json === true ? JSON.stringify(found) : describeRun(found));
}

function describeRun({ audit, ...run }: RunDetail): string {
  const path = (run.decision as { path?: readonly string[] } | null)?.path ?? [];
  return [
    `${run.id}  ${run.target}  ${run.state}${run.outcome === null ? "" : `: ${run.outcome}`}`,
    ...(run.plan === null ? [] : [`plan: ${run.plan}`]),
    ...(path.length === 0 ? [] : ["why:", ...path.map((gate) => `  ${gate}`)]),
    "audit trail:",
    ...audit.map(({ ts, event, actor }) => `  ${ts.toISOString()}  ${event}  (${actor})`),
  ].join("\n");
}

async function printLinks(
  id: string,
  { json }: { json?: boolean },
  { env, out }: Context,
): Promise<void> {
  const { links } = await import("../../runbooks/main.ts");
  const found = await links(env, id, silentLog);
  if (found === undefined)
    throw new CommandFailure(EXIT.usage, "RUNBOOK_APPROVAL_SECRET is not set: there are no links");
  if (found.length === 0)
    throw new CommandFailure(EXIT.notFound, `${id} does not wait for an approval`);
  if (json === true) out(JSON.stringify(found));
  else
    out(
      found
        .map(
          ({ approver, approve, reject }) =>
            `${approver}\n  approve: ${approve}\n  reject:  ${reject}`,
        )
        .join("\n"),
    );
}
