import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { chmod, chown, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { Account } from "./account.ts";
import { readProcess, type ProcessEntry } from "./processes.ts";

/** Below /tmp whatever TMPDIR says: other users must be able to enter, and a socket's path must stay under 108 bytes. */
const PARENT = "/tmp";
const PREFIX = "fettle-test-";

/** Every process of a run carries this variable, which is how those that nobody stopped are found. */
export const FOLDER_VARIABLE = "FETTLE_TEST_FOLDER";

/** Makes the run's folder, owned by the servers' user, with a note of who made it. */
export async function createWorkspace(account: Account): Promise<string> {
  const folder = await mkdtemp(join(PARENT, PREFIX));
  mkdirSync(join(folder, "processes"));
  mkdirSync(join(folder, "ports"));
  writeFileSync(join(folder, "owner"), describe(process.pid));
  await handOver(folder, account);
  return folder;
}

/** A fresh folder for one server inside the run's folder. */
export async function createServerFolder(
  workspace: string,
  name: string,
  account: Account,
): Promise<string> {
  const folder = await mkdtemp(join(workspace, `${name}-`));
  await handOver(folder, account);
  return folder;
}

async function handOver(folder: string, account: Account): Promise<void> {
  await chmod(folder, 0o755);
  if (account.uid !== undefined) await chown(folder, account.uid, account.gid ?? account.uid);
}

/** A server of the run as written down beside it: enough to stop it when the one that started it is gone. */
export interface ServerRecord {
  readonly name: string;
  readonly process: ProcessEntry;
  readonly stopSignal: NodeJS.Signals;
}

export function recordServer(
  workspace: string,
  pid: number,
  name: string,
  stopSignal: NodeJS.Signals,
): void {
  writeFileSync(recordPath(workspace, pid), `${describe(pid)} ${stopSignal} ${name}`);
}

export function forgetServer(workspace: string, pid: number): void {
  rmSync(recordPath(workspace, pid), { force: true });
}

/** The recorded servers that still run. */
export function livingServers(workspace: string): readonly ServerRecord[] {
  const folder = join(workspace, "processes");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((file) => readRecord(join(folder, file)))
    .filter((record) => record !== undefined);
}

/** Folders of earlier runs whose maker is gone without a trace, such as after a power cut. */
export function abandonedWorkspaces(): readonly string[] {
  return readdirSync(PARENT)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(PARENT, name))
    .filter((folder) => {
      const owner = readIfThere(join(folder, "owner"));
      return owner !== undefined && living(owner) === undefined;
    });
}

function readRecord(path: string): ServerRecord | undefined {
  const line = readIfThere(path);
  const running = line === undefined ? undefined : living(line);
  if (line === undefined || running === undefined) return undefined;
  const [, , stopSignal, ...name] = line.split(" ");
  return { name: name.join(" "), process: running, stopSignal: stopSignal as NodeJS.Signals };
}

function recordPath(workspace: string, pid: number): string {
  return join(workspace, "processes", String(pid));
}

function describe(pid: number): string {
  return `${pid} ${readProcess(pid)?.startTicks ?? "gone"}`;
}

function living(description: string): ProcessEntry | undefined {
  const [pid, startTicks] = description.split(" ");
  const entry = readProcess(Number(pid));
  return entry?.startTicks === startTicks ? entry : undefined;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // somebody else's, or removed between the listing and now
  }
}
