import { createReadStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { hasCode, messageOf } from "../../lib/error.ts";
import { DestinationError, nameTaken } from "../destination-error.ts";
import { hashFile } from "../hash-file.ts";
import { exists, FileExists, linkWhole, writeWhole } from "../safe-file.ts";
import type { Parcel, Destination } from "../types.ts";

const NAME = "folder";
const READ_CHUNK_BYTES = 256 * 1024;

/** A folder on this machine (or mounted here). Files have mode 0600 and are never overwritten. */
export function folderDestination(directory: string): Destination {
  const folder = resolve(directory);
  return {
    name: NAME,
    download: async (name, path, signal) => download(join(folder, name), path, signal),
    list: async (prefix) => list(folder, prefix),
    remove: async (name) => remove(join(folder, name)),
    has: async (name) => exists(join(folder, name)),
    upload: async (parcel, signal) => {
      const path = join(folder, parcel.name);
      const adopted = !(await create(folder, path, parcel, signal));
      const { bytes, sha256 } = await hashFile(path, signal);
      if (!parcel.knownSha256.has(sha256)) {
        if (adopted) throw nameTaken(NAME, path);
        await rm(path, { force: true }); // ours, and no export: the next run is to find the name free
        throw new DestinationError(NAME, `${path} reads back as other bytes than were written`);
      }
      return {
        destination: NAME,
        name: parcel.name,
        location: path,
        bytes,
        sha256,
        verifiedBy: "read-back-sha256",
        adopted,
      };
    },
  };
}

async function list(folder: string, prefix: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.startsWith(prefix));
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return [];
    throw failed(`list ${folder}`, cause);
  }
}

async function remove(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (cause) {
    throw failed(`delete ${path}`, cause);
  }
}

async function download(path: string, target: string, signal: AbortSignal | undefined) {
  try {
    await writeWhole(target, String(process.pid), async (sink) =>
      pipeline(readFile(path), sink, { signal }),
    );
  } catch (cause) {
    throw failed(`read ${path}`, cause);
  }
}

/** False when the name was in use. */
async function create(
  folder: string,
  path: string,
  parcel: Parcel,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (await linkWhole(parcel.path, path)) return true;
    await writeWhole(path, parcel.exportId, async (sink) =>
      pipeline(readFile(parcel.path), sink, { signal }),
    );
    return true;
  } catch (cause) {
    if (cause instanceof FileExists) return false;
    throw failed(`write ${path}`, cause);
  }
}

function readFile(path: string) {
  return createReadStream(path, { highWaterMark: READ_CHUNK_BYTES });
}

/** With the reason, which is what whoever reads it can do something about. */
function failed(what: string, cause: unknown): DestinationError {
  return new DestinationError(NAME, `could not ${what}: ${messageOf(cause)}`, { cause });
}
