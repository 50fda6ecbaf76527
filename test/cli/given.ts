import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const FETTLE = fileURLToPath(new URL("../../bin/fettle", import.meta.url));

export type Env = Readonly<Record<string, string>>;

export interface Ended {
  /** Null after a signal. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder of the test's own, so that no `.env` of the developer is read. */
export interface Workplace {
  readonly folder: string;
  /** Runs `bin/fettle …` there, with these variables only. */
  readonly fettle: (args: readonly string[], env?: Env) => Promise<Ended>;
  /** Runs a line of shell there; `$FETTLE` is the program. */
  readonly shell: (line: string, env?: Env) => Promise<Ended>;
  readonly remove: () => Promise<void>;
}

export async function givenWorkplace(): Promise<Workplace> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-cli-"));
  const run = async (program: string, args: readonly string[], env: Env): Promise<Ended> => {
    const child = spawn(program, args, {
      cwd: folder,
      env: { PATH: process.env["PATH"], FETTLE, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close") as Promise<[number | null]>,
    ]);
    return { code, stdout, stderr };
  };
  return {
    folder,
    fettle: async (args, env = {}) => run(FETTLE, args, env),
    shell: async (line, env = {}) => run("/bin/sh", ["-c", line], env),
    remove: async () => rm(folder, { recursive: true, force: true }),
  };
}
