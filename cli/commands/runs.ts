import { silentLog } from "../../lib/log.ts";
import type { RunDetail, RunSummary } from "../../runbooks/main.ts";
import { asUsage, limitOf, plain } from "../as-usage.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { parsePeriod } from "../period.ts";
import { table } from "../table.ts";
import { addRunChanges } from "./runs-change.ts";
import { explainRun } from "./runs-explain.ts";
import { addRunWatch } from "./runs-watch.ts";

/** `fettle runs`: what runs did and do, from the database that AIOPS_DATABASE_URL names. */
export const addRunCommands: AddCommands = (program, context, finish) => {
  const group = program
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
  group.enablePositionalOptions(); // what stands behind a sub-command is the sub-command's, though both have a --json
  group
    .command("ls")
    .description("list runs, the newest first")
    .option("--state <state>", "one state, or open, or ended")
    .option("--namespace <name>")
    .option("--app <name>")
    .option("--runbook <id>")
    .option("--from <time>", "begun since: a time, or an age such as 7d", "400d")
    .option("--to <time>", "begun before", "now")
    .option("--limit <n>", "how many", "20")
    .option("--json", "print JSON")
    .action(async (options: ListOptions) => printList(options, context));
  group
    .command("show <run>")
    .description("show one with its decision and its audit trail")
    .option("--json", "print JSON")
    .action(async (id: string, options: { json?: boolean }) => printRun(id, options, context));
  group
    .command("explain <run>")
    .description("why it was decided so: what matched, the policy's key, each gate and its numbers")
    .option("--json", "print JSON")
    .action(async (id: string, { json }: { json?: boolean }) => {
      const run = { ...(await findRun(id, context)), audit: undefined };
      context.out(json === true ? JSON.stringify(run) : explainRun(run));
    });
  addRunWatch(group, context, finish);
  addRunChanges(group, context);
};

interface ListOptions {
  readonly limit: string;
  readonly from: string;
  readonly to: string;
  readonly state?: string;
  readonly namespace?: string;
  readonly app?: string;
  readonly runbook?: string;
  readonly json?: boolean;
}

async function printList(
  { limit, from, to, json, ...texts }: ListOptions,
  { env, out }: Context,
): Promise<void> {
  const period = parsePeriod({ from, to }, Date.now());
  const { runList } = await import("../../runbooks/main.ts");
  const query = {
    ...texts,
    limit: limitOf(limit),
    from: new Date(period.from),
    to: new Date(period.to),
  };
  const found = await asUsage(async () => runList(env, query, silentLog));
  if (json === true) out(JSON.stringify(found.map((run) => ({ ...run, cursor: undefined }))));
  else out(found.length === 0 ? "No such runs." : tableOf(found));
}

function tableOf(rows: readonly Omit<RunSummary, "finishedAt">[]): string {
  return table(["RUN", "TARGET", "STATE", "SINCE", "OUTCOME"], rows.map(rowOf));
}

async function printRuns(
  { limit, json }: { limit: string; json?: boolean },
  { env, out }: Context,
): Promise<void> {
  const count = limitOf(limit);
  const { runs } = await import("../../runbooks/main.ts");
  const found = await runs(env, count, silentLog);
  if (json === true) out(JSON.stringify(found));
  else out(found.length === 0 ? "No runs yet." : tableOf(found));
}

function rowOf({
  id,
  target,
  state,
  createdAt,
  outcome,
  plan,
}: Omit<RunSummary, "finishedAt">): readonly string[] {
  return [id, target, state, createdAt.toISOString(), outcome ?? plan ?? ""].map(plain);
}

async function printRun(id: string, { json }: { json?: boolean }, context: Context): Promise<void> {
  const found = await findRun(id, context);
  context.out(json === true ? JSON.stringify(found) : describeRun(found));
}

async function findRun(id: string, { env }: Context): Promise<RunDetail> {
  const { run } = await import("../../runbooks/main.ts");
  const found = await run(env, id, silentLog);
  if (found === undefined) throw new CommandFailure(EXIT.notFound, `there is no run ${plain(id)}`);
  return found;
}

function describeRun({ audit, ...run }: RunDetail): string {
  const path = run.decision?.path ?? [];
  return [
    `${run.id}  ${run.target}  ${run.state}${run.outcome === null ? "" : `: ${run.outcome}`}`,
    ...(run.plan === null ? [] : [`plan: ${run.plan}`]),
    ...(path.length === 0 ? [] : ["why:", ...path.map((gate) => `  ${gate}`)]),
    "audit trail:",
    ...audit.map(({ ts, event, actor }) => `  ${ts.toISOString()}  ${event}  (${actor})`),
  ]
    .map(plain)
    .join("\n");
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
