import { createHash } from "node:crypto";
import { lstat, mkdir, mkdtemp, readdir, rm, stat, unlink, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasCode } from "../lib/error.ts";
import type { ExporterConfig } from "./config.ts";

const OWNER_ONLY = 0o700;
/** A sealed file that nobody came back for. An export that still wants it builds it again. */
const KEEP_SEALED_MS = 7 * 24 * 60 * 60 * 1000;
/** A restore says in its folder's time that it is at work, ... */
const BEAT_MS = 60_000;
/** ... and one that has said nothing for so long is gone. Its number would say nothing of another container's. */
const KEEP_RESTORE_MS = 60 * 60 * 1000;

const HALF_WRITTEN = /^\..+\.(\d+)\.part$/;
const RESTORE = "restore-";
const RESTORE_FOLDER = /^restore-\w{6}$/;
const LEFT_ALONE = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|drill)-/;

/** As configured, or one for each database, private to this user. It holds an export's files while they are delivered. */
export function workFolderOf({ workDir, databaseUrl }: ExporterConfig): string {
  if (workDir !== undefined) return workDir;
  const database = createHash("sha256").update(databaseUrl.reveal()).digest("hex").slice(0, 12);
  return join(tmpdir(), `fettle-exporter-${process.getuid?.() ?? 0}-${database}`);
}

/** A file's name in the work folder: exporters of two databases may share the folder, and both make today's name. */
export function workName(exportId: string, name: string): string {
  return `${exportId}-${name}`;
}

/**
 * Makes sure that the folder exists and is ours alone.
 *
 * @throws when it belongs to somebody else, is open to others, or is not a folder
 */
export async function preparePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: OWNER_ONLY });
  const stats = await lstat(path);
  if (!stats.isDirectory()) throw new Error(`work folder ${path} is not a folder`);
  if (stats.uid !== process.getuid?.() || (stats.mode & 0o077) !== 0) {
    throw new Error(`work folder ${path} must belong to the exporter's user alone (chmod 700)`);
  }
}

/**
 * Removes what killed runs left: half-written files of processes that are gone, sealed files that nobody finished, what was fetched to be restored.
 *
 * @returns the names removed
 */
export async function sweepWorkFolder(folder: string, now: Date): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const name of await readdir(folder)) {
    if (!(await isLeftover(folder, name, now))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
    removed.push(name);
  }
  return removed;
}

/** Gives `work` a folder for what is fetched to be restored, and takes it away. */
export async function withRestoreFolder<T>(
  workFolder: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(workFolder, RESTORE));
  const beat = setInterval(() => {
    const now = new Date();
    utimes(folder, now, now).catch(() => undefined); // what comes of it is seen by whoever reads there
  }, BEAT_MS);
  try {
    return await work(folder);
  } finally {
    clearInterval(beat);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Takes away all of an export that is finished, also what an earlier run built otherwise than the last one. */
export async function clearExport(folder: string, exportId: string): Promise<void> {
  for (const name of await readdir(folder))
    if (name.startsWith(workName(exportId, ""))) await unlink(join(folder, name));
}

async function isLeftover(folder: string, name: string, now: Date): Promise<boolean> {
  const pid = HALF_WRITTEN.exec(name)?.[1];
  // Our own number too: the caller has not begun to write, and in a container every process is number 1.
  if (pid !== undefined) return Number(pid) === process.pid || !isAlive(Number(pid));
  const isRestore = RESTORE_FOLDER.test(name);
  if (!isRestore && !LEFT_ALONE.test(name)) return false;
  const { mtimeMs } = await stat(join(folder, name));
  return now.getTime() - mtimeMs > (isRestore ? KEEP_RESTORE_MS : KEEP_SEALED_MS);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, "EPERM");
  }
}
