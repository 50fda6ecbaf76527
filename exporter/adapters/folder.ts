import { createReadStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { DestinationError, nameTaken } from "../destination-error.ts";
import { hashFile } from "../hash-file.ts";
import { exists, FileExists, linkWhole, writeWhole } from "../safe-file.ts";
import type { Artifact, Destination } from "../types.ts";

const NAME = "folder";
const READ_CHUNK_BYTES = 256 * 1024;

/** A folder on this machine (or mounted here). Files have mode 0600 and are never overwritten. */
export function folderDestination(directory: string): Destination {
  const folder = resolve(directory);
  return {
    name: NAME,
    download: async (name, path, signal) => download(join(folder, name), path, signal),
    remove: async (name) => remove(join(folder, name)),
    has: async (name) => exists(join(folder, name)),
    upload: async (artifact, signal) => {
      const path = join(folder, artifact.name);
      const adopted = !(await create(folder, path, artifact, signal));
      const { bytes, sha256 } = await hashFile(path, signal);
      if (!artifact.knownSha256.has(sha256)) {
        if (adopted) throw nameTaken(NAME, path);
        throw new DestinationError(NAME, `${path} reads back as other bytes than were written`);
      }
      return {
        destination: NAME,
        name: artifact.name,
        location: path,
        bytes,
        sha256,
        verifiedBy: "read-back-sha256",
        adopted,
      };
    },
  };
}

async function remove(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (cause) {
    throw new DestinationError(NAME, `could not delete ${path}`, { cause });
  }
}

async function download(path: string, target: string, signal: AbortSignal | undefined) {
  try {
    await writeWhole(target, String(process.pid), async (sink) =>
      pipeline(readFile(path), sink, { signal }),
    );
  } catch (cause) {
    throw new DestinationError(NAME, `could not read ${path}`, { cause });
  }
}

/** False when the name was in use. */
async function create(
  folder: string,
  path: string,
  artifact: Artifact,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (await linkWhole(artifact.path, path)) return true;
    await writeWhole(path, artifact.exportId, async (sink) =>
      pipeline(readFile(artifact.path), sink, { signal }),
    );
    return true;
  } catch (cause) {
    if (cause instanceof FileExists) return false;
    throw new DestinationError(NAME, `could not write ${path}`, { cause });
  }
}

function readFile(path: string) {
  return createReadStream(path, { highWaterMark: READ_CHUNK_BYTES });
}
