import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { familyOf, isAlive, processTable, signal, startedWith } from "./processes.ts";
import type { ProcessEntry } from "./processes.ts";
import { abandonedWorkspaces, FOLDER_VARIABLE, livingServers } from "./workspace.ts";

/** How long a server may take to end by itself; with the kill after it, the whole sweep stays under ten seconds. */
const GRACE_MS = 3_000;
const KILL_WAIT_MS = 3_000;
const POLL_MS = 50;

/**
 * Ends every process of a run and removes its folder. Used by the run itself at its end and, when the run was killed,
 * by its watchdog; a folder that is already gone is fine.
 */
export async function sweep(workspace: string): Promise<void> {
  const asked = new Map<number, ProcessEntry>();
  const graceEnds = performance.now() + GRACE_MS;
  // Looked at anew each time, because a test that has not ended yet may start one more server meanwhile.
  while (askToEnd(workspace, asked) && performance.now() < graceEnds) await sleep(POLL_MS);

  const killEnds = performance.now() + KILL_WAIT_MS;
  while (kill(asked) && performance.now() < killEnds) await sleep(POLL_MS);
  await rm(workspace, { recursive: true, force: true, maxRetries: 5 });
}

/** Sweeps what earlier runs left behind when neither they nor their watchdog could. */
export async function sweepAbandoned(): Promise<void> {
  await Promise.all(abandonedWorkspaces().map(sweep));
}

/** Signals what was not signalled before. @returns whether anything still runs */
function askToEnd(workspace: string, asked: Map<number, ProcessEntry>): boolean {
  for (const [entry, stopSignal] of processesOf(workspace)) {
    if (asked.get(entry.pid)?.startTicks === entry.startTicks) continue;
    asked.set(entry.pid, entry);
    signal(entry, stopSignal);
    signal(entry, "SIGCONT"); // a server that a test froze would never see the other signal
  }
  return [...asked.values()].some(isAlive);
}

function kill(asked: ReadonlyMap<number, ProcessEntry>): boolean {
  const left = [...asked.values()].filter(isAlive);
  for (const entry of left) signal(entry, "SIGKILL");
  return left.length > 0;
}

function processesOf(workspace: string): ReadonlyMap<ProcessEntry, NodeJS.Signals> {
  const found = new Map<ProcessEntry, NodeJS.Signals>();
  const add = (root: ProcessEntry, stopSignal: NodeJS.Signals) => {
    for (const entry of familyOf(root)) if (entry.pid !== process.pid) found.set(entry, stopSignal);
  };
  for (const server of livingServers(workspace)) add(server.process, server.stopSignal);
  const marked = processTable().filter(({ pid }) =>
    startedWith(pid, `${FOLDER_VARIABLE}=${workspace}`),
  );
  for (const entry of marked) add(entry, "SIGTERM");
  return found;
}
