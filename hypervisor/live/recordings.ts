import { createHash } from "node:crypto";
import { constants, type ReadStream } from "node:fs";
import { open, readdir, stat, unlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { hasCode } from "../../lib/error.ts";

/** A session's id, as it stands in the record; of nothing else is a file's name made. */
export const SESSION_ID = /^term_[a-z0-9]{1,60}$/;
const FILE = /^(term_[a-z0-9]{1,60})\.cast$/;

/** A recording as it is now; one whose session goes on may have grown by the next time. */
export interface StoredRecording {
  readonly bytes: number;
  /** Hex, of these bytes. */
  readonly sha256: string;
  /** Closes the file at its end. */
  readonly content: () => ReadStream;
  readonly close: () => Promise<void>;
}

/** @returns undefined when it is not in this folder @throws when it cannot be read */
export async function openRecording(
  folder: string,
  session: string,
): Promise<StoredRecording | undefined> {
  if (!SESSION_ID.test(session)) return undefined;
  const handle = await openFile(join(folder, `${session}.cast`));
  if (handle === undefined) return undefined;
  try {
    const { size: bytes } = await handle.stat();
    const sha256 = await hashOf(handle, bytes);
    const content = () => handle.createReadStream({ start: 0, end: Math.max(0, bytes - 1) });
    return { bytes, sha256, content, close: async () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    // Through no link, and waiting for no pipe's other end.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await open(path, flags);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    return undefined;
  } catch (error) {
    if (hasCode(error, "ENOENT") || hasCode(error, "ELOOP")) return undefined;
    throw error;
  }
}

async function hashOf(handle: FileHandle, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  if (bytes === 0) return hash.digest("hex");
  const pieces = handle.createReadStream({ start: 0, end: bytes - 1, autoClose: false });
  for await (const piece of pieces) hash.update(piece as Buffer);
  return hash.digest("hex");
}

interface Listed {
  readonly session: string;
  readonly bytes: number;
  readonly writtenAt: Date;
}

/** The one that was written into longest ago first. */
export async function listRecordings(folder: string): Promise<readonly Listed[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return []; // nothing was recorded yet
    throw error;
  });
  const all: Listed[] = [];
  for (const name of names.toSorted()) {
    const session = FILE.exec(name)?.[1];
    if (session === undefined) continue;
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.isFile() === true) all.push({ session, bytes: found.size, writtenAt: found.mtime });
  }
  return all.sort((a, b) => a.writtenAt.getTime() - b.writtenAt.getTime());
}

export async function deleteRecording(folder: string, session: string): Promise<void> {
  await unlink(join(folder, `${session}.cast`)).catch((error: unknown) => {
    if (!hasCode(error, "ENOENT")) throw error; // another replica was first
  });
}
