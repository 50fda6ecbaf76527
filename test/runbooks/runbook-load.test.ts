import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { StopStack } from "../../lib/lifecycle.ts";
import { createRegistry } from "../../lib/metrics.ts";
import { CatalogError, parseCatalog } from "../../runbooks/catalog/load.ts";
import { catalogJsonSchema } from "../../runbooks/catalog/schema.ts";
import { openCatalog } from "../../runbooks/open-catalog.ts";
import { recordingLog } from "../fakes/recording-log.ts";
import { PATIENCE_MS } from "../fakes/fettle.ts";

function problemsOf(text: string): readonly string[] {
  try {
    parseCatalog(text, "f.yaml");
    return [];
  } catch (error) {
    return error instanceof CatalogError ? error.problems : [`not told: ${String(error)}`];
  }
}

function catalog(entries: string): string {
  return `runbooks:\n${entries}`;
}

test("a label may have one value of several, and every label counts", () => {
  const [runbook] = parseCatalog(
    catalog(
      "  - { id: a, title: t, match: { labels: { alertname: [A, B], team: web }, reason: drop } }",
    ),
    "f.yaml",
  );
  const labels = { alertname: "B", team: "web", reason: "drop" };

  expect(runbook?.matches({ labels })).toBe(true);
  expect(runbook?.matches({ labels: { ...labels, alertname: "C" } })).toBe(false);
  expect(runbook?.matches({ labels: { alertname: "B", team: "web" } })).toBe(false);
});

test("a label called like a member of every object is not had by an alert without it", () => {
  const [runbook] = parseCatalog(
    catalog("  - { id: a, title: t, match: { labels: { constructor: x } } }"),
    "f.yaml",
  );

  expect(runbook?.matches({ labels: {} })).toBe(false);
});

const BOMB = `a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]
runbooks: *d
`;

test.each<[string, string, string | RegExp]>([
  ["a bomb of aliases", BOMB, /^f\.yaml: Excessive alias count/],
  ["a file without end", "#".repeat(1_100_000), /^f\.yaml: is longer than 1048576 characters/],
  ["no YAML", "runbooks: [", /^f\.yaml:\d: /],
  ["nothing", "", "f.yaml:1: : Invalid input: expected object, received null"],
  [
    "an unknown key, at its runbook's line",
    catalog(
      "  - id: a\n    title: t\n    match: { metric: m }\n  - id: b\n    title: t\n    match: { metric: m }\n    regex: (a+)+$\n",
    ),
    'f.yaml:5: runbooks.1: Unrecognized key: "regex"',
  ],
  [
    "two of one name, at the second one's line",
    catalog(
      "  - { id: a, title: t, match: { metric: m } }\n  - { id: a, title: t, match: { metric: m } }",
    ),
    "f.yaml:3: two runbooks are called a",
  ],
  [
    "a matcher for everything",
    catalog("  - { id: a, title: t, match: {} }"),
    "f.yaml:2: runbooks.0.match: must name at least one of labels, metric, reason",
  ],
  [
    "a matcher for every label",
    catalog("  - { id: a, title: t, match: { labels: {} } }"),
    "f.yaml:2: runbooks.0.match.labels: must name at least one label",
  ],
  [
    "a value that is neither text nor list",
    catalog("  - { id: a, title: t, match: { labels: { x: 5 } } }"),
    "f.yaml:2: runbooks.0.match.labels.x: must be a text, or a list of 1 to 50 texts",
  ],
  [
    "a tag that is none of YAML's own",
    catalog("  - { id: a, title: !!js/function [], match: { metric: m } }"),
    "f.yaml:2: runbooks.0.title: Invalid input: expected string, received array",
  ],
])("refuses %s", (_what, text, problem) => {
  const [told = ""] = problemsOf(text);

  expect(told).toMatch(problem);
});

test("says how it is found out whether an action helped", () => {
  const read = (verify: string) =>
    parseCatalog(
      catalog(`  - { id: a, title: t, match: { metric: m }, verify: ${verify} }`),
      "f.yaml",
    )[0]?.verify;

  expect(read('{ query: "up == bool 1", for: 5m }')).toEqual({
    query: "up == bool 1",
    holdSeconds: 300,
  });
  expect(read("{ for: 90s }")).toEqual({ query: undefined, holdSeconds: 90 });
  expect(() => read("{}")).toThrow("f.yaml:2: runbooks.0.verify: must name query, for, or both");
  expect(() => read("{ for: soon }")).toThrow("must be a time such as 90s, 5m or 1h");
  expect(() => read("{ for: 2h }")).toThrow("must be an hour at most");
  expect(() => read('{ query: "" }')).toThrow("runbooks.0.verify.query");
  expect(() => read('{ querry: "up" }')).toThrow('Unrecognized key: "querry"');
});

test("tells every problem of a file at once", () => {
  expect(
    problemsOf(catalog("  - { id: A, match: { metric: m } }\n  - { id: b, title: t, match: {} }")),
  ).toHaveLength(3);
});

test("a thousand runbooks are read", () => {
  const many = Array.from(
    { length: 1_000 },
    (_, at) => `  - { id: r${at}, title: t, match: { metric: m${at} } }`,
  );

  expect(parseCatalog(catalog(many.join("\n")), "f.yaml")).toHaveLength(1_000);
  expect(
    problemsOf(catalog([...many, "  - { id: x, title: t, match: { metric: m } }"].join("\n"))),
  ).toEqual(["f.yaml:2: runbooks: Too big: expected array to have <=1000 items"]);
});

test("the published schema is the one that files are checked by", async () => {
  const file = new URL("../../ops/runbooks/runbooks.schema.json", import.meta.url);

  // Write it anew: fettle runbooks schema > ops/runbooks/runbooks.schema.json, then make format.
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(catalogJsonSchema());
});

describe("a file that changes", () => {
  let folder: string;
  let stack: StopStack;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "fettle-catalog-"));
  });
  afterEach(async () => {
    await stack.stop();
    await rm(folder, { recursive: true });
  });

  test("is in force soon; one with a fault is told, counted, and leaves the last good one in force", async () => {
    const path = join(folder, "runbooks.yaml");
    const log = recordingLog();
    stack = new StopStack(log);
    const registry = createRegistry("test");
    // The look comes every ten seconds; here every few milliseconds.
    const clock = {
      sleep: async (_ms: number, signal?: AbortSignal) =>
        new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 5);
          signal?.addEventListener("abort", () => {
            clearTimeout(timer);
            resolve();
          });
        }),
    };
    const ids = () => book.runbooks().map(({ id }) => id);
    const failures = async () =>
      /^runbooks_reload_failed_total\S* (\d+)$/m.exec(await registry.metrics())?.[1];
    const write = async (text: string) => {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path); // as a mounted ConfigMap changes: never half a file
    };
    await write(catalog("  - { id: one, title: t, match: { metric: m } }"));
    const book = await openCatalog(path, { registry, clock, log }, stack);
    expect(ids()).toEqual(["one"]);

    await write(catalog("  - { id: two, title: t, match: { metric: m } }"));
    await until(() => ids()[0] === "two");
    await write("runbooks: [");
    await until(async () => (await failures()) === "1");
    expect(ids()).toEqual(["two"]);

    await write(catalog("  - { id: three, title: t, match: { metric: m } }"));
    await until(() => ids()[0] === "three");
    expect(await failures()).toBe("1");
    expect(log.text()).toContain("error runbooks cannot be read: the last good ones stay in force");
  });
});

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error("waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
