import { silentLog } from "../../lib/log.ts";
import type { PolicyAnswer, PolicyInForce } from "../../runbooks/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { groupOf } from "../group.ts";
import { table } from "../table.ts";

interface ExplainOptions {
  readonly trigger?: string;
  readonly reason: string;
  readonly json?: boolean;
}

/** `fettle policy show | explain | lint`: what may be done to whom, and why. */
export const addPolicyCommands: AddCommands = (program, context) => {
  const policy = groupOf(program, "policy", "what may be done to whom, and why");
  policy
    .command("show")
    .description("the policy that is in force, as the executor read it last")
    .option("--json", "print JSON")
    .action(async ({ json }: { json?: boolean }) => {
      const { policyInForce } = await import("../../runbooks/main.ts");
      const found = await policyInForce(context.env, silentLog);
      context.out(json === true ? JSON.stringify(found) : describePolicy(found));
    });
  policy
    .command("explain <namespace> <app>")
    .description("which line of the policy holds for an alert about an app, and why no other does")
    .option(
      "--trigger <name>",
      "the runbook's trigger, or the alert's metric; without it every rule that may hold",
    )
    .option("--reason <name>", "such as level_shift", "")
    .option("--json", "print JSON")
    .action(async (namespace: string, app: string, options: ExplainOptions) => {
      const { trigger, reason, json } = options;
      if (trigger === undefined) {
        await listRules(namespace, app, json === true, context);
        return;
      }
      const { explainPolicy } = await import("../../runbooks/main.ts");
      const answer = await explainPolicy(
        context.env,
        { namespace, app, trigger, reason },
        silentLog,
      );
      context.out(json === true ? JSON.stringify(answer) : describeAnswer(answer));
    });
  policy
    .command("lint <file>")
    .description("check a ConfigMap's manifest, a map of keys to rules, or a text of rules")
    .option("--json", "print JSON")
    .action(async (file: string, { json }: { json?: boolean }) => {
      await lint(file, json === true, context);
    });
};

async function listRules(
  namespace: string,
  app: string,
  json: boolean,
  { env, out }: Context,
): Promise<void> {
  const { policyRulesFor } = await import("../../runbooks/main.ts");
  const found = await policyRulesFor(env, { namespace, app }, silentLog);
  const rows = found.rules.map(({ key, rule }) => [rule.text, key]);
  const problem = found.problem === undefined ? [] : [`problem: ${found.problem}`];
  const rules = rows.length === 0 ? "no rule: nothing would be done" : table(["RULE", "KEY"], rows);
  out(json ? JSON.stringify(found) : [...problem, rules].join("\n"));
}

function describePolicy({ document, readAt, problem }: PolicyInForce): string {
  const rules = document.entries.flatMap(({ key, rules: own }) =>
    own.map((rule) => [key, rule.text]),
  );
  return [
    headOf({ version: document.sha256, source: document.source, readAt, problem }),
    rules.length === 0 ? "It has no rules: nothing is done." : table(["KEY", "RULE"], rules),
  ].join("\n");
}

function headOf({
  version,
  source,
  readAt,
  problem,
}: Pick<PolicyAnswer, "version" | "source" | "readAt" | "problem">): string {
  const when = readAt === undefined ? "" : `, read ${readAt.toISOString()}`;
  const head = `policy ${version.slice(0, 12)} (${source}${when})`;
  return problem === undefined ? head : `${head}\nproblem: ${problem}`;
}

function describeAnswer(answer: PolicyAnswer): string {
  const { key, rule, considered, killed, windowOpen } = answer;
  const windows = rule?.options.windows ?? [];
  return [
    headOf(answer),
    rule === undefined
      ? "no rule: nothing would be done"
      : `rule: ${rule.text}  (key ${key ?? ""})`,
    ...(killed === undefined ? [] : [`switched off: ${killed}`]),
    ...(windows.length === 0 ? [] : [`change window: ${windowOpen ? "open" : "closed"} now`]),
    table(
      ["KEY", "RESULT"],
      considered.map((entry) => [entry.key, entry.result]),
    ),
  ].join("\n");
}

async function lint(file: string, json: boolean, { out, err }: Context): Promise<void> {
  const { checkPolicyFile } = await import("../../runbooks/main.ts");
  const check = await checkPolicyFile(file);
  if (json) out(JSON.stringify(check));
  else if (check.kind === "sound") out(`${file}: ${check.rules.length} rules, all sound`);
  if (check.kind === "sound") return;
  if (!json) for (const problem of check.problems) err(`${file}: ${problem}`);
  throw new CommandFailure(EXIT.error, `${check.problems.length} problems`);
}
