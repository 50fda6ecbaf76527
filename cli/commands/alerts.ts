import { silentLog } from "../../lib/log.ts";
import type { AlertDetail, AlertSummary } from "../../runbooks/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";
import { table } from "../table.ts";

const LIMIT_MAX = 1_000;

/** `fettle alerts`: what was told, from the database that AIOPS_DATABASE_URL names. */
export const addAlertCommands: AddCommands = (program, context) => {
  const group = groupOf(program, "alerts", "what senders told, and what could not be read");
  group
    .command("ls")
    .description("list the alerts that fire, the newest first")
    .option("--all", "the resolved ones as well")
    .option("--limit <n>", "how many", "20")
    .option("--json", "print JSON")
    .action(async (options: ListOptions) => printAlerts(options, context));
  group
    .command("show <alert>")
    .description("show one with its labels")
    .option("--json", "print JSON")
    .action(async (id: string, options: { json?: boolean }) => printAlert(id, options, context));
  const quarantine = group.command("quarantine").description("deliveries that could not be read");
  quarantine
    .command("ls")
    .description("list them, the newest first")
    .option("--limit <n>", "how many", "20")
    .option("--json", "print JSON")
    .action(async (options: ListOptions) => printQuarantine(options, context));
  quarantine
    .command("retry <delivery>")
    .description("read one again, with this version")
    .action(async (id: string) => retry(id, context));
};

interface ListOptions {
  readonly limit: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

async function printAlerts(
  { limit, all = false, json }: ListOptions,
  { env, out }: Context,
): Promise<void> {
  const { alerts } = await import("../../runbooks/main.ts");
  const found = await alerts(env, { limit: limitOf(limit), all }, silentLog);
  if (json === true) out(JSON.stringify(found));
  else if (found.length === 0) out("No alerts.");
  else
    out(table(["ALERT", "SOURCE", "NAME", "NAMESPACE", "SINCE", "TIMES", "RUN"], found.map(rowOf)));
}

function rowOf(alert: AlertSummary): readonly string[] {
  const { id, source, alertname, namespace, since, opened, run } = alert;
  return [id, source, alertname, namespace, since.toISOString(), String(opened), run ?? ""].map(
    plain,
  );
}

async function printAlert(
  id: string,
  { json }: { json?: boolean },
  { env, out }: Context,
): Promise<void> {
  const { alert } = await import("../../runbooks/main.ts");
  const found = await alert(env, id, silentLog);
  if (found === undefined) throw new CommandFailure(EXIT.notFound, `there is no alert ${id}`);
  out(json === true ? JSON.stringify(found) : describe(found));
}

function describe(alert: AlertDetail): string {
  const { resolved, resolvedBy, waitsUntil, run } = alert;
  return [
    `${alert.id}  ${alert.alertname}  from ${alert.source}, fingerprint ${alert.fingerprint}`,
    `since ${alert.since.toISOString()}, last told ${alert.lastSeen.toISOString()}, for the ${alert.opened}. time`,
    resolved === null ? "it fires" : `resolved ${resolved.toISOString()} (${resolvedBy ?? "?"})`,
    ...(alert.truncated ? ["its group was cut: nothing is done about it"] : []),
    ...(waitsUntil === null ? [] : [`waits until ${waitsUntil.toISOString()}: its target rests`]),
    `run: ${run ?? "none"}`,
    ...Object.entries(alert.labels).map(([name, value]) => `  ${name}=${value}`),
  ]
    .map(plain)
    .join("\n");
}

async function printQuarantine({ limit, json }: ListOptions, { env, out }: Context): Promise<void> {
  const { quarantine } = await import("../../runbooks/main.ts");
  const found = await quarantine(env, limitOf(limit), silentLog);
  if (json === true) out(JSON.stringify(found));
  else if (found.length === 0) out("Nothing is in quarantine.");
  else {
    const rows = found.map(({ id, source, received, deliveries, problem }) =>
      [id, source, received.toISOString(), String(deliveries), problem].map(plain),
    );
    out(table(["DELIVERY", "SOURCE", "RECEIVED", "TIMES", "PROBLEM"], rows));
  }
}

async function retry(id: string, { env, out }: Context): Promise<void> {
  const { retryDelivery } = await import("../../runbooks/main.ts");
  const outcome = await retryDelivery(env, id, silentLog);
  if (outcome.kind === "not_found")
    throw new CommandFailure(EXIT.notFound, `there is no delivery ${id} in quarantine`);
  if (outcome.kind === "refused") throw new CommandFailure(EXIT.refused, outcome.why);
  out(`Delivery ${id} (${outcome.alerts} alerts) is looked at within seconds.`);
}

function limitOf(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX) return limit;
  throw new CommandFailure(
    EXIT.usage,
    `--limit must be an integer from 1 to ${LIMIT_MAX}, got ${JSON.stringify(text)}`,
  );
}

/** A sender's text must not move the cursor, or look like another line. */
function plain(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "\u{FFFD}");
}
