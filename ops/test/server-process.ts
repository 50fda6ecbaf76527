import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Account } from "./account.ts";
import { familyOf, isAlive, readProcess, signal } from "./processes.ts";
import type { ProcessEntry } from "./processes.ts";
import { FOLDER_VARIABLE, forgetServer, recordServer } from "./workspace.ts";

const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 25;
const STOP_TIMEOUT_MS = 10_000;
const STOP_POLL_MS = 10;
const LOG_TAIL_CHARACTERS = 2_000;

/** How to start one server, and how to see that it answers. */
export interface ServerSpec {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** The run's folder, where the process is written down. */
  readonly workspace: string;
  /** The server's own folder: working directory, HOME and log. */
  readonly folder: string;
  readonly account: Account;
  readonly env?: Readonly<Record<string, string>>;
  /** SIGTERM unless the server knows a better one (PostgreSQL: SIGINT is "fast", SIGQUIT "immediate"). */
  readonly stopSignal?: NodeJS.Signals;
  ready(): Promise<boolean> | boolean;
}

/** A running server. */
export interface ServerProcess {
  readonly pid: number;
  /** Ends it and everything below it; a second call, or one after a crash, does nothing. */
  stop(stopSignal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP to it and everything below it: connections stay open, nothing answers. */
  freeze(): void;
  thaw(): void;
}

/**
 * Starts a server and waits until it is ready.
 *
 * It gets a session of its own, so that Ctrl-C in the terminal reaches the run, which then stops it in order; and it
 * does not keep our event loop alive, so that a test that forgot it ends and the run's sweep finds it.
 *
 * @throws Error with the end of the server's log when it exits or is not ready within 30 s
 */
export async function startServer(spec: ServerSpec): Promise<ServerProcess> {
  const logPath = join(spec.folder, "log");
  const log = openSync(logPath, "a");
  const child = spawn(spec.program, spec.args, {
    ...spec.account,
    cwd: spec.folder,
    env: serverEnvironment(spec),
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  const pid = await startedPid(child, spec);
  child.unref();
  recordServer(spec.workspace, pid, spec.name, spec.stopSignal ?? "SIGTERM");
  const server = handle(pid, spec);
  try {
    await waitUntilReady(child, spec, logPath);
  } catch (error) {
    await server.stop("SIGKILL");
    throw error;
  }
  return server;
}

function serverEnvironment({ folder, workspace, env }: ServerSpec): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    HOME: folder,
    LC_ALL: "C.UTF-8",
    TZ: "UTC",
    [FOLDER_VARIABLE]: workspace,
    ...env,
  };
}

async function startedPid(child: ChildProcess, { name, program }: ServerSpec): Promise<number> {
  if (child.pid !== undefined) return child.pid;
  const cause = await new Promise((resolve) => child.once("error", resolve));
  throw new Error(`${name} could not be started: ${program}`, { cause });
}

async function waitUntilReady(
  child: ChildProcess,
  spec: ServerSpec,
  logPath: string,
): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      const how = child.signalCode ?? `exit ${child.exitCode ?? "?"}`;
      throw new Error(`${spec.name} ended at its start (${how}):\n${logTail(logPath)}`);
    }
    if (await spec.ready()) return;
    await sleep(READY_POLL_MS);
  }
  throw new Error(
    `${spec.name} was not ready after ${READY_TIMEOUT_MS / 1000} s:\n${logTail(logPath)}`,
  );
}

function handle(pid: number, spec: ServerSpec): ServerProcess {
  const self = readProcess(pid);
  const family = () => (self === undefined ? [] : familyOf(self));
  let stopping: Promise<void> | undefined;
  return {
    pid,
    stop: (stopSignal = spec.stopSignal ?? "SIGTERM") =>
      (stopping ??= endFamily(family(), stopSignal).finally(() => {
        forgetServer(spec.workspace, pid);
      })),
    // The parent first: it must not start another child while we walk down.
    freeze: () => {
      for (const entry of family()) signal(entry, "SIGSTOP");
    },
    thaw: () => {
      for (const entry of family()) signal(entry, "SIGCONT");
    },
  };
}

/** The first entry is the server itself; its children are its own business unless they outlive it. */
async function endFamily(
  family: readonly ProcessEntry[],
  stopSignal: NodeJS.Signals,
): Promise<void> {
  const [leader] = family;
  if (leader === undefined) return;
  signal(leader, stopSignal);
  for (const entry of family) signal(entry, "SIGCONT");
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  while (isAlive(leader) && performance.now() < deadline) await sleep(STOP_POLL_MS);
  for (const entry of family) signal(entry, "SIGKILL");
  while (family.some(isAlive)) await sleep(STOP_POLL_MS);
}

function logTail(path: string): string {
  return readFileSync(path, "utf8").slice(-LOG_TAIL_CHARACTERS);
}
