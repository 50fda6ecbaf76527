import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import type { Context } from "./context.ts";
import { runCommandLine } from "./program.ts";

const context: Context = {
  env: process.env,
  out: (text) => process.stdout.write(`${text}\n`),
  drained: async () => {
    if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
  },
  err: (text) => process.stderr.write(`${text}\n`),
  terminal: process.stdout.isTTY,
  ask: async (question) => {
    if (!process.stdin.isTTY) return undefined;
    const reader = createInterface({ input: process.stdin, output: process.stdout });
    try {
      return await reader.question(question);
    } finally {
      reader.close();
    }
  },
};

// A reader that went away (`fettle runs | head`) is no fault of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
});

process.exitCode = await runCommandLine(process.argv.slice(2), context);
