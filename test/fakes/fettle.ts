import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { ownPort } from "../servers/unprivileged.ts";

type Env = Readonly<Record<string, string>>;

/** A fettle service as a process of its own, started as an operator starts it. */
export interface FettleProcess {
  readonly url: string;
  /** Of the service itself: the shell that started it has become it. */
  readonly pid: number;
  readonly output: () => string;
  /** Resolves with the exit code (null after a kill). */
  readonly exited: Promise<number | null>;
  /** SIGTERM, and wait for the end. */
  readonly stop: () => Promise<void>;
  /** kill -9, and wait for the end. */
  readonly kill: () => Promise<void>;
}

/** The folder marks the process as one of this run: a test that dies leaves none behind, `services run` ends it. */
function inherited(): Record<string, string | undefined> {
  const names = ["PATH", "FETTLE_TEST_FOLDER", "NODE_COMPILE_CACHE"];
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

/** Starts `bin/fettle <service>` (with its options) on a free port (in the variable `portName`) and waits until it is ready. */
export async function startFettle(
  service: string,
  portName: string,
  env: Env,
  port?: number,
): Promise<FettleProcess> {
  const listenPort = port ?? (await ownPort());
  const child = spawn("bin/fettle", service.split(" "), {
    env: { ...inherited(), ...env, [portName]: String(listenPort) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, "close").then(([code]) => code as number | null);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
  };
  const url = `http://127.0.0.1:${listenPort}`;
  await waitUntil(`${service} to be ready`, async () => {
    if (child.exitCode !== null)
      throw new Error(`${service} ended with ${child.exitCode}: ${output}`);
    return fetch(`${url}/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  }).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw new Error(`${String(error)}\n${output.slice(-3_000)}`);
  });
  return {
    url,
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    stop: async () => end("SIGTERM"),
    kill: async () => end("SIGKILL"),
  };
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one `bin/fettle …` command to its end. */
export async function fettle(args: readonly string[], env: Env = {}): Promise<CommandResult> {
  const options = { env: { ...inherited(), ...env }, maxBuffer: 1 << 26 };
  try {
    return { code: 0, ...(await promisify(execFile)("bin/fettle", args, options)) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

/** How long a test waits for what must come, on a machine that does more; no promise of Fettle is this long. */
export const PATIENCE_MS = 60_000;

/**
 * Looks every 100 ms until it is so.
 * @param ms only where the time itself is what is tested, or where a minute is no patience
 * @throws when it is not in time
 */
export async function waitUntil(
  what: string,
  look: () => Promise<boolean>,
  ms = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
