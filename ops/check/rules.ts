import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import type { RunTool } from "./programs.ts";

const RULES = "ops/prometheus/rules";
const TESTS = "ops/prometheus/tests";
/** Loki's rules: no program here reads their language, but they must lead to a page as well. */
const LOKI_RULES = "ops/loki/rules/fake/alerts.yml";
const RUNBOOK = "docs/operations.md";
const SEVERITIES = ["critical", "warning", "none"];

interface AlertRule {
  readonly alert: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface RuleFile {
  readonly groups: readonly { readonly rules: readonly Partial<AlertRule>[] }[];
}

interface TestFile {
  readonly tests: readonly {
    readonly promql_expr_test?: readonly { expr: string; exp_samples?: readonly unknown[] }[];
    readonly alert_rule_test?: readonly { alertname: string; exp_alerts?: readonly unknown[] }[];
  }[];
}

/** The rules are valid, do what their unit tests say, and each alert can be acted on. */
export async function checkRules(run: RunTool): Promise<readonly string[]> {
  const rules = await paths(RULES);
  const tests = await paths(TESTS);
  const results = await Promise.all([
    run("PROMTOOL", ["check", "config", "ops/prometheus/prometheus.yml"]),
    run("PROMTOOL", ["check", "rules", ...rules]),
    run("PROMTOOL", ["test", "rules", ...tests]),
  ]);
  const failed = results.filter(({ ok }) => !ok).map(({ output }) => output);
  return [...failed, ...(await alertProblems(rules, tests))];
}

/** What promtool does not ask: a severity, a page to open at night, and a test of both its words. */
async function alertProblems(
  rulePaths: readonly string[],
  testPaths: readonly string[],
): Promise<readonly string[]> {
  const headings = headingsOf(await readFile(RUNBOOK, "utf8"));
  const alerts = (await Promise.all(rulePaths.map(alertsOf))).flat();
  const tested = await readTested(testPaths);
  const ofLoki = await alertsOf(LOKI_RULES);
  return [
    ...[...alerts, ...ofLoki].flatMap((rule) => wordProblems(rule, headings)),
    ...alerts.flatMap(({ alert }) => [
      ...(tested.firing.has(alert) ? [] : [`${alert} has no test in which it fires`]),
      ...(tested.silent.has(alert) || alert === "Watchdog"
        ? []
        : [`${alert} has no test in which it is silent`]),
    ]),
  ];
}

function wordProblems(
  { alert, labels = {}, annotations = {} }: AlertRule,
  headings: ReadonlySet<string>,
): readonly string[] {
  const anchor = alert.toLowerCase();
  const wanted: readonly (readonly [boolean, string])[] = [
    [SEVERITIES.includes(labels["severity"] ?? ""), "has no known severity"],
    [annotations["runbook_url"] === `${RUNBOOK}#${anchor}`, "has no runbook_url of its own"],
    [headings.has(anchor), `has no heading in ${RUNBOOK}`],
    [annotations["summary"] !== undefined, "has no summary"],
  ];
  return wanted.filter(([isSo]) => !isSo).map(([, problem]) => `${alert} ${problem}`);
}

async function alertsOf(path: string): Promise<readonly AlertRule[]> {
  const { groups } = parse(await readFile(path, "utf8")) as RuleFile;
  return groups
    .flatMap(({ rules }) => rules)
    .filter((rule) => rule.alert !== undefined) as AlertRule[];
}

async function readTested(files: readonly string[]) {
  const [firing, silent] = [new Set<string>(), new Set<string>()];
  const note = (name: string | undefined, samples: readonly unknown[] = []) => {
    if (name !== undefined) (samples.length > 0 ? firing : silent).add(name);
  };
  for (const path of files) {
    const { tests } = parse(await readFile(path, "utf8")) as TestFile;
    for (const test of tests) {
      for (const { alertname, exp_alerts } of test.alert_rule_test ?? [])
        note(alertname, exp_alerts);
      for (const { expr, exp_samples } of test.promql_expr_test ?? [])
        note(/ALERTS\{alertname="(\w+)"/.exec(expr)?.[1], exp_samples);
    }
  }
  return { firing, silent };
}

/** As GitHub makes anchors, for headings that are one word. */
function headingsOf(page: string): ReadonlySet<string> {
  return new Set([...page.matchAll(/^#+ (\w+)$/gm)].map(([, word = ""]) => word.toLowerCase()));
}

async function paths(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder);
  return names.filter((name) => name.endsWith(".yml")).map((name) => join(folder, name));
}
