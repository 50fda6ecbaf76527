import { writeFile } from "node:fs/promises";
import { parseDuration } from "../../lib/duration.ts";
import { silentLog } from "../../lib/log.ts";
import type { AlertSource, BacktestReport, PolicyTally } from "../../runbooks/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";
import { parsePeriod } from "../period.ts";
import { withProgress } from "../progress.ts";
import { table } from "../table.ts";

interface BacktestOptions {
  readonly policy: string;
  readonly against?: string;
  readonly source: string;
  readonly file?: string;
  readonly from?: string;
  readonly to: string;
  readonly step: string;
  readonly approvalDelay: string;
  readonly actionDelay: string;
  readonly workloads?: string;
  readonly html?: string;
  readonly json?: boolean;
}

/** `fettle backtest policy`: what a policy would have done to the alerts of the past. */
export const addBacktestPolicyCommands: AddCommands = (program, context) => {
  groupOf(program, "backtest", "live through the past again")
    .command("policy")
    .description("what a policy would have done to the alerts of the past; changes nothing")
    .requiredOption("--policy <file>", "a ConfigMap, a YAML map of keys to rules, or rules")
    .option("--against <file>", "another policy, to say what changes")
    .option("--source <name>", "where the alerts come from: db, prometheus or file", "db")
    .option("--file <path>", "JSON lines: alerts or webhooks; implies --source file")
    .option("--from <time>", "begin: a time, or an age such as 7d (default: 30d; all of a file)")
    .option("--to <time>", "end", "now")
    .option("--step <time>", "how close to look at Prometheus' history", "1m")
    .option("--approval-delay <time>", "how long people take to answer", "5m")
    .option("--action-delay <time>", "from the answer to the effect", "30s")
    .option(
      "--workloads <n>",
      "how many workloads a namespace has, for the stop when many are sick",
    )
    .option("--html <file>", "also write a page with charts")
    .option("--json", "print JSON")
    .action(async (options: BacktestOptions) => {
      await backtest(options, context);
    });
};

async function backtest(options: BacktestOptions, context: Context): Promise<void> {
  const request = {
    policy: options.policy,
    against: options.against,
    source: sourceOf(options),
    period: parsePeriod({ from: defaultFrom(options), ...options }, Date.now()),
    approvalDelaySeconds: secondsOf("--approval-delay", options.approvalDelay),
    actionDelaySeconds: secondsOf("--action-delay", options.actionDelay),
    workloads: options.workloads === undefined ? null : countOf(options.workloads),
  };
  const { backtestPolicyFile } = await import("../../runbooks/main.ts");
  const { report, html } = await withProgress(
    "Living through the past",
    { ...context, quiet: options.json === true },
    async (say) =>
      backtestPolicyFile(context.env, silentLog, {
        ...request,
        onAlerts: (count) => {
          say(`${count} alerts`);
        },
      }),
  );
  if (options.html !== undefined) await writeFile(options.html, html);
  context.out(options.json === true ? JSON.stringify(report) : describe(report));
}

function defaultFrom({ file }: BacktestOptions): string {
  return file === undefined ? "30d" : "1970-01-01";
}

function sourceOf({ source, file, step }: BacktestOptions): AlertSource {
  if (file !== undefined) return { kind: "file", path: file };
  if (source === "db") return { kind: "db" };
  if (source === "prometheus")
    return { kind: "prometheus", stepSeconds: Math.max(1, secondsOf("--step", step)) };
  throw new CommandFailure(
    EXIT.usage,
    source === "file"
      ? "--source file needs --file <path>"
      : `--source must be db, prometheus or file, got ${JSON.stringify(source)}`,
  );
}

function secondsOf(option: string, text: string): number {
  const seconds = parseDuration(text);
  if (seconds !== undefined) return seconds;
  throw new CommandFailure(
    EXIT.usage,
    `${option} must be a length of time such as 30s, 5m or 2h, got ${JSON.stringify(text)}`,
  );
}

function countOf(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count >= 1) return count;
  throw new CommandFailure(
    EXIT.usage,
    `--workloads must be a whole number from 1 to 999999, got ${JSON.stringify(text)}`,
  );
}

/** Rows of a table on a terminal; --json has all of them. */
const ROWS_MAX = 40;

function describe({ policy, against, difference, sha256 }: BacktestReport): string {
  const { tally } = policy;
  const sections = [summaryOf(tally, against?.tally)];
  if (difference !== null) {
    sections.push(
      section(
        "Lines that change",
        ["CHANGE", "KEY", "FOR", "OLD", "NEW"],
        difference.lines.map((line) => [
          line.change,
          line.key,
          line.on,
          line.old ?? "-",
          line.new ?? "-",
        ]),
      ),
      section(
        "Actions that change",
        ["APP", "ACTION", "OLD", "NEW"],
        difference.actions.map(({ app, action, old, new: now }) => [
          app,
          action,
          String(old),
          String(now),
        ]),
      ),
      section(
        "Alerts that go another way",
        ["ALERTS", "OLD", "NEW", "FIRST"],
        difference.fates.map((change) => [
          String(change.alerts),
          change.old,
          change.new,
          change.first,
        ]),
      ),
    );
  }
  sections.push(...detailsOf(tally), `sha256 ${sha256}`);
  return sections.filter((text) => text !== "").join("\n\n");
}

function summaryOf(tally: PolicyTally, old: PolicyTally | undefined): string {
  const rows: readonly (readonly [string, (tally: PolicyTally) => number])[] = [
    ["alerts", ({ alerts }) => alerts],
    ["runs", ({ runs }) => runs],
    ["approvals asked for", ({ approvals }) => approvals.asked],
    ["  over before the answer", ({ approvals }) => approvals.resolvedBeforeAnswer],
    ["  expired", ({ approvals }) => approvals.expired],
    ["resolved before the action", ({ selfResolved }) => selfResolved.count],
    ["actions", ({ actions }) => actions],
    ["breaker trips", ({ breaker }) => breaker.trips],
    ["refused by the breaker", ({ breaker }) => breaker.refusals],
  ];
  const when = tally.firstAt === null ? "no alerts" : `${tally.firstAt} to ${tally.lastAt ?? ""}`;
  return old === undefined
    ? table(
        [when, ""],
        rows.map(([name, of]) => [name, String(of(tally))]),
      )
    : table(
        [when, "OLD", "NEW"],
        rows.map(([name, of]) => [name, String(of(old)), String(of(tally))]),
      );
}

function detailsOf(tally: PolicyTally): readonly string[] {
  return [
    section(
      "Actions per app and day",
      ["DAY", "APP", "ACTION", "ACTIONS"],
      tally.days.map(({ day, app, action, actions }) => [day, app, action, String(actions)]),
    ),
    section(
      "Lines",
      ["KEY", "LINE", "ASKED", "UNASKED", "WATCHED", "ACTIONS", "RESOLVED FIRST"],
      tally.lines.map((line) => [
        line.key,
        line.text,
        String(line.asked),
        String(line.unasked),
        String(line.watched),
        String(line.actions),
        `${line.selfResolved.count} of ${line.selfResolved.of}`,
      ]),
    ),
    section(
      "Apps with trips of the breaker",
      ["APP", "TRIPS", "REFUSED"],
      tally.apps
        .filter(({ breakerTrips }) => breakerTrips > 0)
        .map((app) => [app.app, String(app.breakerTrips), String(app.breakerRefusals)]),
    ),
    section("What became of the alerts", ["OUTCOME", "ALERTS"], counted(tally.fates)),
    section("No line is for", ["TRIGGER", "RUNS"], counted(tally.withoutRule)),
  ];
}

function counted(counts: Readonly<Record<string, number>>): readonly (readonly string[])[] {
  return Object.entries(counts)
    .sort(([left, one], [right, other]) => other - one || (left < right ? -1 : 1))
    .map(([name, count]) => [name, String(count)]);
}

function section(
  title: string,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  if (rows.length === 0) return "";
  const hidden = rows.length - ROWS_MAX;
  const more = hidden > 0 ? `\n… ${hidden} more: see --json` : "";
  return `${title}\n${table(header, rows.slice(0, ROWS_MAX))}${more}`;
}
