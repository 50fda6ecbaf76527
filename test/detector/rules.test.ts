import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { programPath } from "../servers/unprivileged.ts";

const FOLDER = fileURLToPath(new URL("../../ops/prometheus", import.meta.url));
const run = promisify(execFile);

test.each([
  ["check", "fettle-rules.yml"],
  ["test", "fettle-rules.test.yml"],
])("promtool %s rules passes on %s", async (command, file) => {
  const { stdout } = await run(programPath("PROMTOOL"), [command, "rules", file], { cwd: FOLDER });

  expect(stdout).toContain("SUCCESS");
});
