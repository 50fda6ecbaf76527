import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "@jest/globals";
import { StopStack } from "../../lib/lifecycle.ts";
import { silentLog } from "../../lib/log.ts";

test("stops what was started in the reverse order, also when a step fails", async () => {
  const order: string[] = [];
  const stack = new StopStack(silentLog);
  stack.add("first", () => void order.push("first"));
  stack.add("broken", async () => Promise.reject(new Error("no")));
  stack.add("last", () => void order.push("last"));

  await stack.stop();
  await stack.stop();

  expect(order).toEqual(["last", "first"]);
});

/** Runs a small program with runService in a process of its own. */
async function exitOf(
  start: string,
  signal?: NodeJS.Signals,
): Promise<{ code: number | null; output: string }> {
  const program = `
    import { runService } from "./lib/lifecycle.ts";
    import { createLogger } from "./lib/log.ts";
    process.exitCode = await runService(createLogger({ service: "t" }), ${start});
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    if (signal !== undefined && output.includes('"started"') && !child.killed) child.kill(signal);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

const running =
  "async () => { const timer = setInterval(() => {}, 1000); return { stop: async () => { clearInterval(timer); } }; }";

test.each(["SIGTERM", "SIGINT"] as const)(
  "a service that is told to stop by %s ends with 0",
  async (signal) => {
    const { code, output } = await exitOf(running, signal);

    expect(code).toBe(0);
    expect(output).toContain('"stopped"');
  },
);

test("a service that cannot start ends with 1, and its log says why", async () => {
  const { code, output } = await exitOf('async () => { throw new Error("port taken"); }');

  expect(code).toBe(1);
  expect(output).toContain("port taken");
});
