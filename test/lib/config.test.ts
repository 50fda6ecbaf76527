import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import {
  choice,
  ConfigError,
  decimal,
  flag,
  integer,
  list,
  optional,
  readConfig,
  required,
  secret,
  url,
  withDefault,
} from "../../lib/config.ts";

const shape = {
  prometheus: required("PROM_URL", url, "Prometheus"),
  token: optional("TOKEN", secret, "token"),
  seconds: withDefault("SECONDS", integer({ min: 5, max: 60 }), 30, "interval"),
  threshold: withDefault("THRESHOLD", decimal({ min: 0, max: 1 }), 0.5, "threshold"),
  dryRun: withDefault("DRY_RUN", flag, true, "dry run"),
  approvers: withDefault("APPROVERS", list, [], "approvers"),
  mode: withDefault("MODE", choice("pgp", "kms"), "pgp", "mode"),
} as const;

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(shape, env);
    return [];
  } catch (error) {
    return error instanceof ConfigError ? error.problems : [String(error)];
  }
}

test("reads every kind, takes defaults, and counts empty variables as unset", () => {
  const config = readConfig(shape, {
    PROM_URL: "http://prom:9090/",
    DRY_RUN: "off",
    APPROVERS: " ana, ivan ,",
    SECONDS: "",
    MODE: "kms",
  });

  expect(config).toMatchObject({
    prometheus: "http://prom:9090",
    token: undefined,
    seconds: 30,
    threshold: 0.5,
    dryRun: false,
    approvers: ["ana", "ivan"],
    mode: "kms",
  });
  expect(Object.isFrozen(config)).toBe(true);
});

test("reports all problems at once, each with the variable's name and what was expected", () => {
  expect(problemsOf({ SECONDS: "1", DRY_RUN: "maybe", MODE: "zip", THRESHOLD: "1e3" })).toEqual([
    "PROM_URL: is required (Prometheus)",
    'SECONDS: must be an integer from 5 to 60, got "1"',
    'THRESHOLD: must be a number from 0 to 1, got "1e3"',
    'DRY_RUN: must be true or false (on, off), got "maybe"',
    'MODE: must be one of pgp, kms, got "zip"',
  ]);
});

test.each(["ftp://x", "http://", "prometheus:9090", "http:// x"])(
  "refuses %j as an address",
  (value) => {
    expect(problemsOf({ PROM_URL: value })).toEqual([
      `PROM_URL: must be an http:// or https:// address, got "${value}"`,
    ]);
  },
);

test("shortens a long value in the message", () => {
  expect(problemsOf({ PROM_URL: "x".repeat(10_000) })[0]?.length).toBeLessThan(200);
});

test("a secret prints as [redacted], and comes from a file when only NAME_FILE is set", () => {
  const file = join(mkdtempSync(join(tmpdir(), "config-")), "token");
  writeFileSync(file, "from-the-file\n");

  const { token } = readConfig(shape, { PROM_URL: "http://prom", TOKEN_FILE: file });

  expect(token?.reveal()).toBe("from-the-file");
  expect(`${String(token)} ${JSON.stringify({ token })}`).toBe('[redacted] {"token":"[redacted]"}');
});

test("an empty secret file is a problem, not an empty secret", () => {
  const file = join(mkdtempSync(join(tmpdir(), "config-")), "token");
  writeFileSync(file, "\n");

  expect(problemsOf({ PROM_URL: "http://prom", TOKEN_FILE: file })).toEqual([
    "TOKEN_FILE: the file is empty",
  ]);
});

test("names a secret's file that cannot be read", () => {
  expect(problemsOf({ PROM_URL: "http://prom", TOKEN_FILE: "/does/not/exist" })[0]).toMatch(
    /^TOKEN_FILE: cannot be read: ENOENT/,
  );
});
