import { randomInt } from "node:crypto";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { Content } from "./content.ts";
import { hashFile } from "./hash-file.ts";
import { rowsIn } from "./part-rows.ts";
import { rowsProblem } from "./prove-rows.ts";
import type { Archive, Destination, StoredFile } from "./types.ts";

/** Opens a file with one recipient's key alone. */
export interface DrillKey {
  readonly recipient: string;
  /** False: by its name the file is somebody else's. */
  canOpen(name: string): boolean;
  /** The SHA-256 of the plaintext; undefined when there is a layer inside that this key is not for. @throws */
  open(path: string): Promise<string | undefined>;
  /** The same plaintext, to be read again; undefined likewise. */
  content(path: string): Promise<Content | undefined>;
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
 * nobody can open is found now, and not on the day when it is needed. Where a manifest was signed, the rows inside are put
 * through its tree again.
 */
export async function drill(deps: DrillDeps): Promise<readonly DrillResult[]> {
  const results: DrillResult[] = [];
  for (const destination of deps.destinations) {
    const stored = await deps.archive.stored(destination.name);
    const sealed = stored.flatMap(({ exportId, files }) =>
      files
        .filter(({ plaintextSha256 }) => plaintextSha256 !== undefined)
        .map((file) => ({ ...file, exportId })),
    );
    for (const key of deps.keys) {
      const files = sealed.filter(({ name }) => key.canOpen(name));
      const file = files.length === 0 ? undefined : files[randomInt(files.length)];
      if (file !== undefined) results.push(await rehearse(destination, file, key, deps));
    }
  }
  return results;
}

interface SealedFile extends StoredFile {
  readonly exportId: string;
}

async function rehearse(
  destination: Destination,
  file: SealedFile,
  key: DrillKey,
  deps: DrillDeps,
): Promise<DrillResult> {
  const tried = { destination: destination.name, recipient: key.recipient, name: file.name };
  const path = join(deps.workFolder, `drill-${file.name}`);
  await unlink(path).catch(() => undefined); // of a killed drill
  try {
    await destination.download(file.name, path, deps.signal);
    const problem = await problemOf(key, path, file, deps);
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
  { name, exportId, sha256, plaintextSha256 }: SealedFile,
  { archive }: DrillDeps,
): Promise<string | undefined> {
  if ((await hashFile(path)).sha256 !== sha256) return "holds other bytes than were stored";
  const opened = await key.open(path);
  if (opened === undefined) return undefined;
  if (opened !== plaintextSha256) return "opens to other rows than were exported";
  const proof = await archive.proofOf(exportId, name);
  const content = proof === undefined ? undefined : await key.content(path);
  if (proof === undefined || content === undefined) return undefined;
  try {
    return await rowsProblem(await rowsIn(name, content), proof);
  } finally {
    content.forget();
  }
}
