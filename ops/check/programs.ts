import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ensurePrograms } from "../test/ensure.ts";

/** What the checks need besides Node; found, or installed as for the tests. */
const NEEDED = ["PROMTOOL", "AMTOOL"] as const;
type Needed = (typeof NEEDED)[number];

export interface Finished {
  readonly ok: boolean;
  readonly output: string;
}

/** Runs promtool or amtool. */
export type RunTool = (tool: Needed, args: readonly string[]) => Promise<Finished>;

/**
 * Finds the tools; installs Debian's prometheus and prometheus-alertmanager when they are missing and we may.
 *
 * @throws MissingProgramsError that says what to install
 */
export function openTools(notice: (line: string) => void): RunTool {
  const found = ensurePrograms(process.env, notice, NEEDED);
  return async (tool, args) => {
    try {
      const { stdout, stderr } = await promisify(execFile)(found[tool] ?? tool, args);
      return { ok: true, output: stdout + stderr };
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      return { ok: false, output: stdout + stderr || String(error) };
    }
  };
}
