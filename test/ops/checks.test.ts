import { appendFile, mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { check, copySources } from "./given-copy.ts";

/** What is planted into a copy of the sources: a line at the end of a file, which is new or one of ours. */
const PLANTED: Readonly<Record<string, string>> = {
  "lib/planted.ts": `import "../runbooks/types/run.ts";`,
  "lib/planted-test.ts": `import "../test/fakes/clock.ts";`,
  "lib/planted-dev.ts": `import fc from "fast-check"; export const planted = fc;`,
  "lib/planted-nothing.ts": `import "./there-is-no-such-file.ts";`,
  "lib/planted-vendor.ts": `import type { Redis } from "ioredis"; export type Planted = Redis;`,
  "detector/planted.ts": `import "../runbooks/types/run.ts";`,
  "exporter/planted-a.ts": `import "./planted-b.ts";`,
  "exporter/planted-b.ts": `import "./planted-a.ts";`,
  "runbooks/match.ts": `import "./parse.ts";`,
  "runbooks/collect/planted.ts": `import "../match.ts";`,
  "runbooks/steps/execute.ts": `import "./verify.ts";`,
  "runbooks/planted-adapter.ts": `import "./adapters/redis.ts";`,
  "runbooks/planted-vendor.ts": `export const planted = async () => import("ioredis");`,
  "runbooks/planted-service.ts": `import "./service.ts";`,
  "cli/planted.ts": `import "../runbooks/service.ts";`,
  "lib/clock.ts": "export const plantedExport = 1;",
};

/** The rule that must name the planted file. */
const RULES = [
  ["lib imports a service", "lib-knows-no-service", "lib/planted.ts"],
  ["production imports a test", "nothing-imports-tests", "lib/planted-test.ts"],
  ["production imports a tool of development", "no-dev-deps-in-production", "lib/planted-dev.ts"],
  ["an import leads nowhere", "nothing-unresolved", "lib/planted-nothing.ts"],
  ["lib imports a vendor", "vendors-live-in-adapters", "lib/planted-vendor.ts"],
  ["a service imports another", "services-never-meet", "detector/planted.ts"],
  ["two files import each other", "no-cycles", "exporter/planted-a.ts"],
  ["a stage imports a stage", "stages-never-meet", "runbooks/match.ts"],
  ["a stage's folder imports a stage", "stages-never-meet", "runbooks/collect/planted.ts"],
  ["a step imports a step", "steps-never-meet", "runbooks/steps/execute.ts"],
  ["a stage imports an adapter", "only-service-sees-adapters", "runbooks/planted-adapter.ts"],
  ["a stage imports a vendor, late", "vendors-live-in-adapters", "runbooks/planted-vendor.ts"],
  ["a stage imports service.ts", "only-main-imports-service", "runbooks/planted-service.ts"],
  ["the command line imports service.ts", "cli-sees-only-main", "cli/planted.ts"],
] as const;

/** Fewer would mean that most of the tree was not looked at. */
const MODULES_MIN = 200;

let copy: string;

beforeAll(async () => {
  copy = await copySources();
  for (const [path, line] of Object.entries(PLANTED)) {
    await mkdir(dirname(join(copy, path)), { recursive: true });
    await appendFile(join(copy, path), `${line}\n`);
  }
});
afterAll(async () => rm(copy, { recursive: true, force: true }));

describe("the check of imports", () => {
  let report: Awaited<ReturnType<typeof check>>;
  beforeAll(async () => {
    report = await check(copy, "check:imports");
  });

  test("fails, having looked at the whole tree", () => {
    const [, modules] = /(\d+) modules, \d+ dependencies cruised/.exec(report.output) ?? [];

    expect(report.code).not.toBe(0);
    expect(Number(modules)).toBeGreaterThan(MODULES_MIN);
  });

  test.each(RULES)("finds that %s (%s)", (_what, rule, path) => {
    expect(report.output).toMatch(
      new RegExp(`error ${rule}: ${path.replaceAll(".", "\\.")}( |$)`, "m"),
    );
  });
});

test("the check of dead code finds an export that nobody uses, and a file", async () => {
  const { code, output } = await check(copy, "check:dead");

  expect(code).not.toBe(0);
  expect(output).toMatch(/^plantedExport +lib\/clock\.ts:/m);
  expect(output).toMatch(/^lib\/planted-vendor\.ts/m);
});

test("make check runs each of the checks", async () => {
  const [, recipe = ""] =
    /^check:.*\n((?:\t.*\n)+)/m.exec(await readFile("Makefile", "utf8")) ?? [];

  for (const name of ["types", "lint", "format", "imports", "dead", "ops"])
    expect(recipe).toContain(`npm run --silent check:${name}`);
});
