import { randomInt } from "node:crypto";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import { hashFile } from "./hash-file.ts";
import type { Archive, Destination, StoredFile } from "./types.ts";

/** Opens a file with one recipient's key alone. */
export interface DrillKey {
  readonly recipient: string;
  /** False: by its name the file is somebody else's. */
  canOpen(name: string): boolean;
  /** The SHA-256 of the plaintext; undefined when there is a layer inside that this key is not for. @throws */
  open(path: string): Promise<string | undefined>;
}

export interface DrillDeps {
  readonly archive: Archive;
  readonly destinations: readonly Destination[];
  readonly keys: readonly DrillKey[];
  readonly workFolder: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

export interface DrillResult {
  readonly destination: string;
  readonly recipient: string;
  readonly name: string;
  /** Undefined: it went well. */
  readonly problem: string | undefined;
}

/**
 * Fetches a random earlier file from each destination and opens it with each key that this machine has: an archive that
 * nobody can open is found now, and not on the day when it is needed.
 */
export async function drill(deps: DrillDeps): Promise<readonly DrillResult[]> {
  const results: DrillResult[] = [];
  for (const destination of deps.destinations) {
    const stored = await deps.archive.stored(destination.name);
    const sealed = stored.flatMap(({ files }) =>
      files.filter(({ plaintextSha256 }) => plaintextSha256 !== undefined),
    );
    for (const key of deps.keys) {
      const files = sealed.filter(({ name }) => key.canOpen(name));
      const file = files.length === 0 ? undefined : files[randomInt(files.length)];
      if (file !== undefined) results.push(await rehearse(destination, file, key, deps));
    }
  }
  return results;
}

async function rehearse(
  destination: Destination,
  file: StoredFile,
  key: DrillKey,
  deps: DrillDeps,
): Promise<DrillResult> {
  const tried = { destination: destination.name, recipient: key.recipient, name: file.name };
  const path = join(deps.workFolder, `drill-${file.name}`);
  await unlink(path).catch(() => undefined); // of a killed drill
  try {
    await destination.download(file.name, path, deps.signal);
    const problem = await problemOf(key, path, file);
    if (problem === undefined) await deps.archive.recordDrill({ ...tried, at: deps.clock.now() });
    return { ...tried, problem };
  } catch (error) {
    return { ...tried, problem: messageOf(error) };
  } finally {
    await unlink(path).catch(() => undefined);
  }
}

async function problemOf(
  key: DrillKey,
  path: string,
  { sha256, plaintextSha256 }: StoredFile,
): Promise<string | undefined> {
  if ((await hashFile(path)).sha256 !== sha256) return "holds other bytes than were stored";
  const opened = await key.open(path);
  return opened === undefined || opened === plaintextSha256
    ? undefined
    : "opens to other rows than were exported";
}
