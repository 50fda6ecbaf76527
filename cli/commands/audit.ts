import { silentLog } from "../../lib/log.ts";
import type { AuditReport } from "../../runbooks/main.ts";
import { asUsage, limitOf, plain } from "../as-usage.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";
import { parsePeriod } from "../period.ts";
import { withProgress } from "../progress.ts";
import { table } from "../table.ts";

interface QueryOptions {
  readonly from?: string;
  readonly to: string;
  readonly run?: string;
  readonly event?: string;
  readonly actor?: string;
  readonly namespace?: string;
  readonly app?: string;
}

/** `fettle audit ls | export | verify`: the record, in the database that AIOPS_DATABASE_URL names. */
export const addAuditCommands: AddCommands = (program, context, finish) => {
  const group = groupOf(program, "audit", "the record of what was done, by whom, and why");
  for (const [name, about] of [
    ["ls", "list rows, the newest first"],
    ["export", "write rows to stdout, the newest first"],
  ] as const) {
    const command = group
      .command(name)
      .description(about)
      .option("--from <time>", "written since: a time, or an age such as 7d")
      .option("--to <time>", "written before", "now")
      .option("--run <id>")
      .option("--event <name>")
      .option("--actor <name>")
      .option("--namespace <name>")
      .option("--app <name>");
    if (name === "ls")
      command
        .option("--limit <n>", "how many", "20")
        .option("--json", "print JSON")
        .action(async (options: QueryOptions & { limit: string; json?: boolean }) =>
          printRows(options, context),
        );
    else
      command
        .requiredOption("--format <format>", "csv, or json (a line for each row)")
        .action(async (options: QueryOptions & { format: string }) => exportRows(options, context));
  }
  group
    .command("verify")
    .description(
      "recompute the record's hashes; exit code 1 when a row was changed, added or removed",
    )
    .option("--from <time>", "only what was written since: a time, or an age such as 7d")
    .option("--to <time>", "only what was written before it")
    .option(
      "--pub <file>",
      "every checkpoint must be signed with it (PEM, or the form name+id+base64)",
    )
    .option("--json", "print JSON")
    .action(async (options: VerifyOptions) => {
      finish(await verify(options, context));
    });
};

async function printRows(
  { limit, json, ...options }: QueryOptions & { limit: string; json?: boolean },
  { env, out }: Context,
): Promise<void> {
  const query = { ...queryOf(options), limit: limitOf(limit) };
  const { auditRows } = await import("../../runbooks/main.ts");
  const rows = await asUsage(async () => auditRows(env, query, silentLog));
  if (json === true) out(JSON.stringify(rows));
  else if (rows.length === 0) out("No such rows.");
  else
    out(
      table(
        ["ID", "TIME", "EVENT", "ACTOR", "RUN"],
        rows.map(({ id, at, event, actor, runId, target }) =>
          [id, at.toISOString(), event, actor, runId ?? target ?? ""].map(plain),
        ),
      ),
    );
}

async function exportRows(
  { format, ...options }: QueryOptions & { format: string },
  { env, out, drained }: Context,
): Promise<void> {
  if (format !== "csv" && format !== "json")
    throw new CommandFailure(
      EXIT.usage,
      `--format must be csv or json, got ${JSON.stringify(format)}`,
    );
  const { exportRecord } = await import("../../runbooks/main.ts");
  const write = async (text: string) => {
    out(text.replace(/\n$/, "")); // a line of CSV ends with both characters (RFC 4180)
    await drained?.();
  };
  const query = { ...queryOf(options), format } as const;
  await asUsage(async () => exportRecord(env, query, { log: silentLog, write }));
}

function queryOf({ from, to, ...texts }: QueryOptions) {
  return { ...texts, ...periodOf({ from, to }) };
}

function periodOf({ from, to }: { readonly from?: string | undefined; readonly to: string }) {
  // Without a beginning the end may be anywhere.
  const period = parsePeriod({ from: from ?? "1970-01-01", to }, Date.now());
  return {
    from: from === undefined ? undefined : new Date(period.from),
    to: to === "now" ? undefined : new Date(period.to),
  };
}

interface VerifyOptions {
  readonly from?: string;
  readonly to?: string;
  readonly pub?: string;
  readonly json?: boolean;
}

async function verify(
  { from, to = "now", pub, json }: VerifyOptions,
  context: Context,
): Promise<number> {
  if (pub !== undefined && (from !== undefined || to !== "now"))
    throw new CommandFailure(EXIT.usage, "--pub checks all checkpoints: leave --from and --to out");
  const period = { ...periodOf({ from, to }), publicKeyFile: pub };
  const { verifyRecord } = await import("../../runbooks/main.ts");
  const quiet = json === true;
  const report = await withProgress("Recomputing the record", { ...context, quiet }, async (tell) =>
    verifyRecord(context.env, period, {
      log: silentLog,
      progress: (rows) => {
        tell(`${rows} rows`);
      },
    }),
  );
  context.out(json === true ? JSON.stringify(report) : describe(report));
  return report.problemCount === 0 ? EXIT.ok : EXIT.error;
}

function describe(report: AuditReport): string {
  const { rows, chains, rowsBefore, checkpoints, problems, problemCount } = report;
  const looked = `${rows} rows in ${chains} chains${rowsBefore === 0 ? "" : `, and ${rowsBefore} from before the chain`}, ${checkpoints} checkpoints`;
  const [first] = problems;
  if (first === undefined) return `The record is sound: ${looked}.`;
  return [
    `THE RECORD WAS TAMPERED WITH: ${problemCount} places do not fit (${looked}).`,
    `First: ${first.kind}: ${first.text}${first.chain === null ? "" : ` (chain ${first.chain})`}`,
    ...problems
      .slice(1)
      .map(
        ({ kind, chain, text }) => `  ${kind}: ${text}${chain === null ? "" : ` (chain ${chain})`}`,
      ),
  ]
    .map(plain)
    .join("\n");
}
