import { runCommandLine } from "../../cli/program.ts";
import type { Ended, Env } from "./given.ts";

/** A command line in this process: a busy machine takes seconds to start one of its own. */
export async function fettleHere(args: readonly string[], env: Env): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const code = await runCommandLine(args, {
    env,
    out: (text) => {
      stdout += `${text}\n`;
    },
    err: (text) => {
      stderr += `${text}\n`;
    },
    terminal: false,
    ask: async () => Promise.resolve(undefined),
  });
  return { code, stdout, stderr };
}
