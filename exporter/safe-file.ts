import { createWriteStream } from "node:fs";
import { link, lstat, open, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Writable } from "node:stream";
import { hasCode } from "../lib/error.ts";

const OWNER_ONLY_FILE = 0o600;
/** By which file systems say that they have no hard links (or allow us none, EMLINK: no more of them). */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];
const WRITE_CHUNK_BYTES = 256 * 1024;

/** The name is in use; nothing was overwritten. */
export class FileExists extends Error {
  override readonly name = "FileExists";
  readonly path: string;

  constructor(path: string) {
    super(`${path} exists already; it was not overwritten`);
    this.path = path;
  }
}

/**
 * Fills a hidden temporary file (mode 0600) beside `path`, syncs it, and only then gives it its name. When anything fails,
 * neither of the two stays behind.
 *
 * @param label tells our temporary files apart; one left by a killed process with the same label is replaced
 * @throws FileExists when `path` is in use
 */
export async function writeWhole(
  path: string,
  label: string,
  fill: (sink: Writable) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(path), temporaryName(path, label));
  await unlink(temporary).catch(ignoreMissing);
  const sink = createWriteStream(temporary, {
    flags: "wx",
    mode: OWNER_ONLY_FILE,
    flush: true, // fsync before close
    highWaterMark: WRITE_CHUNK_BYTES,
  });
  try {
    await fill(sink);
    await giveName(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    sink.destroy();
    await unlink(temporary).catch(ignoreMissing);
    throw error;
  }
}

function temporaryName(path: string, label: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return `.${name}.${label}.part`;
}

/**
 * Gives a whole, synced file a second name, where the two are on one file system that knows links: nothing is copied.
 *
 * @returns false where it has to be copied
 * @throws FileExists when `path` is in use
 */
export async function linkWhole(file: string, path: string): Promise<boolean> {
  try {
    await link(file, path);
  } catch (error) {
    if (hasCode(error, "EEXIST")) throw new FileExists(path);
    if (hasCode(error, "EXDEV", ...NO_LINKS)) return false;
    throw error;
  }
  await syncFolder(dirname(path));
  return true;
}

/** A hard link fails when the name exists, a rename would overwrite: so the name is taken by linking. */
async function giveName(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
    await unlink(temporary);
  } catch (error) {
    if (hasCode(error, "EEXIST")) throw new FileExists(path);
    if (!hasCode(error, ...NO_LINKS)) throw error;
    // Some network file systems have no hard links; the window between look and rename is closed by the export lock.
    if (await exists(path)) throw new FileExists(path);
    await rename(temporary, path);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    if (!hasCode(error, "EINVAL", "ENOTSUP", "EOPNOTSUPP")) throw error; // file systems that cannot
  } finally {
    await handle.close();
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

function ignoreMissing(error: unknown): void {
  if (!hasCode(error, "ENOENT")) throw error;
}
