import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";

/** As shells do: 127 for a command that is not there, 128 + n for one that signal n ended. */
const NOT_FOUND = 127;
const BY_SIGNAL = 128;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** How long the command may take to end after a signal before the run stops waiting for it. */
const END_TIMEOUT_MS = 5_000;

/** Watches for the signals that ask a run to end. */
export interface Interruption {
  /** Settles on the first signal. */
  readonly happened: Promise<NodeJS.Signals>;
  release(): void;
}

export function watchInterruption(): Interruption {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  for (const name of SIGNALS) process.on(name, resolve);
  return {
    happened: promise,
    release: () => {
      for (const name of SIGNALS) process.off(name, resolve);
    },
  };
}

export function exitCodeOf(signalName: NodeJS.Signals): number {
  return BY_SIGNAL + constants.signals[signalName];
}

/** Runs the command with our terminal; a signal to us goes on to its whole process group. @returns its exit code */
export async function runCommand(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  interruption: Interruption,
): Promise<number> {
  const [program = "", ...args] = command;
  // A group of its own: Ctrl-C then comes through us exactly once, and the group can be ended as a whole.
  const child = spawn(program, args, { env, stdio: "inherit", detached: true });
  const ended = exitCode(child, program);
  const interrupted = interruption.happened.then(async (name) => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, name);
    await Promise.race([
      ended,
      new Promise((resolve) => setTimeout(resolve, END_TIMEOUT_MS).unref()),
    ]);
    return exitCodeOf(name);
  });
  return Promise.race([ended, interrupted]);
}

async function exitCode(child: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve) => {
    child.once("error", (error) => {
      process.stderr.write(`services: cannot run ${program}: ${error.message}\n`);
      resolve(NOT_FOUND);
    });
    child.once("exit", (code, signalName) => {
      resolve(signalName === null ? (code ?? 1) : exitCodeOf(signalName));
    });
  });
}
