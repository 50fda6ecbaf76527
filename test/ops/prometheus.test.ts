import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { programPath } from "../servers/unprivileged.ts";

const run = promisify(execFile);

test("the rules are valid, and fire and stay silent as their unit tests say", async () => {
  const { stdout } = await run(programPath("PROMTOOL"), [
    "test",
    "rules",
    "ops/prometheus/fettle-rules.test.yml",
  ]);

  expect(stdout).toContain("SUCCESS");
});

test("promtool and amtool accept the configurations of docker-compose.yml", async () => {
  const prometheus = await run(programPath("PROMTOOL"), [
    "check",
    "config",
    "ops/prometheus/prometheus.yml",
  ]);
  const alertmanager = await run(programPath("AMTOOL"), [
    "check-config",
    "ops/alertmanager/alertmanager.yml",
  ]);

  expect(prometheus.stdout).toContain("SUCCESS");
  expect(alertmanager.stdout).toContain("SUCCESS");
});
