import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { codeOf, hasCode, messageOf } from "../../error.ts";
import {
  checkKey,
  measure,
  StorageError,
  type BlobEntry,
  type BlobStore,
  type Content,
  type PutInfo,
} from "../../storage.ts";

/** Readable by this user only: diagnostics and audit records are nobody else's business. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** A part of another host's process that nobody has touched for so long is left over from a crash. */
const ABANDONED_MS = 60 * 60 * 1000;

/** A folder of this machine, or of a mounted volume. Metadata is not kept. */
export function openFolderStore(root: string): BlobStore {
  const writing = new Set<string>();
  const pathOf = (key: string) => {
    checkKey(key);
    return join(root, key);
  };
  return {
    name: `folder ${root}`,
    put: async (key, body, info) =>
      told(`cannot put ${key} into ${root}`, async () => {
        const path = pathOf(key);
        if (info.lockedUntil !== undefined)
          throw new StorageError("refused", "a folder cannot keep files from being deleted");
        await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
        const part = join(dirname(path), partName(basename(path)));
        writing.add(part);
        try {
          await removeAbandoned(path, writing);
          const content = await write(part, body, info);
          await publish(part, path, info);
          return { location: path, ...content, etag: undefined, verifiedBy: "size" };
        } finally {
          writing.delete(part);
          await rm(part, { force: true });
        }
      }),
    get: async (key) =>
      told(`cannot read ${key} in ${root}`, async () => {
        const path = pathOf(key);
        await stat(path); // a missing file is told now, not by the stream
        return createReadStream(path);
      }),
    head: async (key) =>
      told(`cannot look at ${key} in ${root}`, async () => {
        const size = await sizeOf(pathOf(key));
        return size === undefined ? undefined : { bytes: size, etag: undefined, metadata: {} };
      }),
    list: (prefix) => entries(root, prefix),
    delete: async (key) =>
      told(`cannot delete ${key} in ${root}`, async () => rm(pathOf(key), { force: true })),
  };
}

/** Everything arrives on the disk before the name does. */
async function write(part: string, body: Readable, info: PutInfo): Promise<Content> {
  const file = await open(part, "wx", FILE_MODE);
  try {
    const { pieces, content } = measure(body, info);
    for await (const piece of pieces) await file.writeFile(piece);
    await file.sync();
    const { size } = await file.stat();
    if (size !== content().bytes)
      throw new StorageError("corrupt", `${size} of ${content().bytes} bytes are on the disk`);
    return content();
  } finally {
    await file.close();
  }
}

/** A rename replaces what is there; a hard link does not. */
async function publish(part: string, path: string, { ifAbsent }: PutInfo): Promise<void> {
  if (ifAbsent !== true) await rename(part, path);
  else await link(part, path);
  const folder = await open(dirname(path));
  await folder.sync().finally(async () => folder.close());
}

/** Names the process, so that the next one knows that this one is gone. */
function partName(name: string): string {
  return `.${name}.${hostname()}.${process.pid}.${randomUUID()}.part`;
}

/** The half-written files of killed processes, for this one object. */
async function removeAbandoned(path: string, writing: ReadonlySet<string>): Promise<void> {
  const folder = dirname(path);
  const names = await readdir(folder);
  for (const name of names) {
    if (!name.startsWith(`.${basename(path)}.`) || !name.endsWith(".part")) continue;
    const part = join(folder, name);
    if (!writing.has(part) && (await isAbandoned(part, name))) await rm(part, { force: true });
  }
}

async function isAbandoned(part: string, name: string): Promise<boolean> {
  const [pid = ""] = name.split(".").slice(-3);
  const ours = name.includes(`.${hostname()}.${pid}.`);
  // A container's first process always has the same number: its own number is no sign of life.
  if (ours) return Number(pid) === process.pid || !isAlive(Number(pid));
  const found = await stat(part).catch(() => undefined);
  const now = await stat(dirname(part));
  return found !== undefined && now.mtimeMs - found.mtimeMs > ABANDONED_MS;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return hasCode(error, "EPERM"); // somebody else's: alive
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

async function* entries(root: string, prefix: string): AsyncGenerator<BlobEntry> {
  let found;
  try {
    found = await readdir(root, { recursive: true, withFileTypes: true });
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw folderError(`cannot list ${root}`, error);
  }
  for (const entry of found) {
    const path = join(entry.parentPath, entry.name);
    const key = path.slice(join(root, "/").length);
    if (!entry.isFile() || entry.name.startsWith(".") || !key.startsWith(prefix)) continue;
    const bytes = await sizeOf(path);
    if (bytes !== undefined) yield { key, bytes };
  }
}

async function told<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StorageError ? error : folderError(what, error);
  }
}

const REFUSALS = ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ENAMETOOLONG"];

function folderError(what: string, error: unknown): StorageError {
  if (hasCode(error, "EEXIST")) return new StorageError("exists", what);
  if (hasCode(error, "ENOENT")) return new StorageError("missing", what);
  const kind = hasCode(error, ...REFUSALS) ? "refused" : "unavailable";
  return new StorageError(kind, what, [codeOf(error), messageOf(error)].join(" ").trim());
}
