import { readdirSync, readFileSync } from "node:fs";

/** One running process. `startTicks` tells it from a later one that was given the same number. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly startTicks: string;
}

/** All processes that still run; zombies count as gone, since without an init system nobody reaps orphans. */
export function processTable(): readonly ProcessEntry[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((entry) => entry !== undefined);
}

/** The process with this number, or undefined when there is none (any more). */
export function readProcess(pid: number): ProcessEntry | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // proc(5): the second field is the name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parent] = fields;
  if (state === "Z" || state === "X") return undefined;
  return { pid, parent: Number(parent), startTicks: fields[19] ?? "" };
}

/**
 * A process and everything below it, itself first; empty when it is gone. PostgreSQL and sshd give each child a
 * session of its own, so that a process group would not hold them all.
 */
export function familyOf(root: ProcessEntry): readonly ProcessEntry[] {
  if (!isAlive(root)) return [];
  const table = processTable();
  const family = [root];
  for (const { pid } of family) family.push(...table.filter(({ parent }) => parent === pid));
  return family;
}

/** Was the process started with this exact `NAME=value`? Servers that overwrite their environment answer no. */
export function startedWith(pid: number, assignment: string): boolean {
  return read(`/proc/${pid}/environ`)?.split("\0").includes(assignment) ?? false;
}

/** Sends a signal; a process that is gone by now is not a fault. */
export function signal(entry: ProcessEntry, name: NodeJS.Signals): void {
  if (!isAlive(entry)) return;
  try {
    process.kill(entry.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

export function isAlive(entry: ProcessEntry): boolean {
  return readProcess(entry.pid)?.startTicks === entry.startTicks;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // it ended while we looked, or it is another user's
  }
}
