import { expect, test } from "@jest/globals";
import { CatalogError, parseCatalog } from "../../../runbooks/catalog/load.ts";

function runbook(collect: string): string {
  return `runbooks:\n  - id: a\n    title: A\n    match: { metric: m }\n    collect: ${collect}\n`;
}

function stepsOf(collect: string) {
  return parseCatalog(runbook(collect), "file.yaml")[0]?.collect;
}

function problemOf(collect: string): string {
  try {
    parseCatalog(runbook(collect), "file.yaml");
  } catch (error) {
    if (error instanceof CatalogError) return error.message;
  }
  return "nothing is wrong";
}

test("a step's name alone is the step with its usual options", () => {
  expect(stepsOf("[objects, events, logs, rollout_history, prometheus, container_logs]")).toEqual([
    { step: "objects" },
    { step: "events" },
    { step: "logs", lines: 500, previous: true, max_bytes: 262_144 },
    { step: "rollout_history" },
    { step: "prometheus", minutes: 60, queries: {} },
    { step: "container_logs", lines: 500 },
  ]);
});

test("options replace the usual ones, one by one", () => {
  expect(stepsOf("[{step: logs, lines: 50}, {step: container_logs, container: db}]")).toEqual([
    { step: "logs", lines: 50, previous: true, max_bytes: 262_144 },
    { step: "container_logs", lines: 500, container: "db" },
  ]);
  expect(stepsOf("[{step: prometheus, minutes: 5, queries: {errors: 'rate(e[5m])'}}]")).toEqual([
    { step: "prometheus", minutes: 5, queries: { errors: "rate(e[5m])" } },
  ]);
});

test("a runbook without the word collects nothing", () => {
  const text = "runbooks:\n  - { id: a, title: A, match: { metric: m } }\n";
  expect(parseCatalog(text, "file.yaml")[0]?.collect).toEqual([]);
});

test.each([
  ["[secrets]", /^file\.yaml:5: runbooks\.0\.collect\.0: must be one of objects, events, logs/],
  ["[{step: shell, command: id}]", /collect\.0: must be one of objects/],
  ["[{step: logs, lines: 0}]", /collect\.0/],
  ["[{step: logs, max_bytes: 99999999}]", /collect\.0/],
  ["[{step: logs, wrong: 1}]", /collect\.0/],
  ["[{step: prometheus, queries: {'../x': up}}]", /collect\.0/],
  ["[{step: prometheus, minutes: 100000}]", /collect\.0/],
  ["[{step: container_logs, container: '../etc'}]", /collect\.0/],
  ["[]", /collect/],
  ["objects", /collect/],
  [`[${"objects, ".repeat(13)}]`, /collect/],
])("is refused with its line: %s", (collect, expected) => {
  expect(problemOf(collect)).toMatch(expected);
});
