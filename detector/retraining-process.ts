import { spawn, type ChildProcess } from "node:child_process";
import { constants, setPriority } from "node:os";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const PROGRAM = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
/** Of what the process says; its result has about 20 kB. */
const OUTPUT_CHARACTERS_MAX = 1_000_000;
const MESSAGE_CHARACTERS_MAX = 500;
/** A hundred series of two weeks of minutes took 14 minutes and 600 MB on a busy machine of two cores. */
const TIME_LIMIT_MS = 3_600_000;
/** `fettle train`: the challenger takes over, or the replay said no. */
const EXIT_CODES: ReadonlySet<number | string> = new Set([0, 3]);

/** What `fettle train --json` prints, as far as anybody here wants to know. */
const trainingSchema = z.object({
  sha256: z.string(),
  promoted: z.boolean(),
  rows: z.number(),
  masked: z.number(),
  masks: z.object({ windows: z.number() }),
  comparison: z.object({ why: z.string() }),
});

export type TrainingOutcome = z.infer<typeof trainingSchema>;

export interface TrainingProcess {
  readonly days: number;
  readonly memoryMb: number;
  /** All that the process gets to know; nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeLimitMs?: number;
}

/**
 * Runs `fettle train` in a process of its own: training computes for minutes, during which this process must score. It has
 * its own memory limit and yields to whoever wants the processor. Killed when the signal aborts, or after an hour; it writes
 * one row at its very end, so there is nothing to clean up.
 *
 * @throws Error that says how it ended
 */
export async function trainInProcess(
  { days, memoryMb, environment, timeLimitMs = TIME_LIMIT_MS }: TrainingProcess,
  signal: AbortSignal,
): Promise<TrainingOutcome> {
  const flags = [`--max-old-space-size=${memoryMb}`, "--disable-proto=delete"];
  const timeLimit = AbortSignal.timeout(timeLimitMs);
  const child = spawn(
    process.execPath,
    [...flags, PROGRAM, "train", "--from", `${days}d`, "--json"],
    {
      env: { ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      signal: AbortSignal.any([signal, timeLimit]),
      killSignal: "SIGKILL",
    },
  );
  yieldProcessor(child.pid);
  const [stdout, stderr, ending] = await Promise.all([
    lastOf(child.stdout),
    lastOf(child.stderr),
    endOf(child),
  ]);
  signal.throwIfAborted();
  if (timeLimit.aborted)
    throw new Error(`training took longer than ${timeLimitMs / 60_000} minutes`);
  if (!EXIT_CODES.has(ending)) throw new Error(`training ended with ${ending}: ${causeIn(stderr)}`);
  return trainingSchema.parse(JSON.parse(stdout));
}

/** Scoring comes first; the lowest priority would never end on a busy machine. */
function yieldProcessor(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system does not let us: it trains all the same.
  }
}

/** The exit code, or the name of the signal that ended it. Waits until it is gone, also after an abort. */
async function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      if (child.pid === undefined) reject(error); // never started; after an abort the end is still to come
    });
    child.on("close", (code, signal) => {
      resolve(code ?? signal ?? "nothing");
    });
  });
}

async function lastOf(stream: Readable): Promise<string> {
  let text = "";
  for await (const chunk of stream.setEncoding("utf8")) {
    text = (text + String(chunk)).slice(-OUTPUT_CHARACTERS_MAX);
  }
  return text;
}

/** The engine says more after its last words, the program does not. */
function causeIn(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const cause = lines.find((line) => line.startsWith("FATAL ERROR")) ?? lines.at(-1) ?? "";
  return cause.slice(0, MESSAGE_CHARACTERS_MAX);
}
