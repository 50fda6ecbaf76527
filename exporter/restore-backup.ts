import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { hasCode } from "../lib/error.ts";
import type { BackupManifest, BackupPart } from "./backup-manifest.ts";
import type { FoundBackup } from "./find-backup.ts";

/** pg_restore at work: everything in one transaction, which ends well only after its input has. */
export interface Restoring {
  readonly stdin: Writable;
  /** @throws with its own words */
  readonly ended: Promise<void>;
  /** Ends it without a commit. */
  readonly abandon: () => void;
}

export interface RestoreDeps {
  /** The plaintext of a sealed file; undefined when the keys do not open it. */
  readonly openPlaintext: (file: string) => Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Relations of the target that are not PostgreSQL's own. */
  readonly countRelations: () => Promise<number>;
  readonly restore: () => Restoring;
}

const CLOSED = ["EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED"];

/** The target is in use, or the keys are not the right ones: nothing was done. */
class RestoreRefused extends Error {
  override readonly name = "RestoreRefused";
}

/**
 * Restores a backup into an empty database. The parts are compared with the manifest first, so that nothing is begun with a
 * damaged one; and whatever the seals find wrong later ends in no change at all.
 *
 * @throws RestoreRefused; Error naming the part, or with pg_restore's words
 */
export async function restoreBackup(
  { folder, manifest }: FoundBackup,
  deps: RestoreDeps,
): Promise<BackupManifest> {
  for (const part of manifest.parts) await checkPart(folder, part);
  const relations = await deps.countRelations();
  if (relations > 0) {
    throw new RestoreRefused(
      `the database has ${relations} tables already; a backup is only restored into an empty one`,
    );
  }
  const restoring = deps.restore();
  restoring.ended.catch(() => undefined); // awaited below; it may fail while a part is still read
  try {
    await pipeline(lastHeld(plaintextOf(folder, manifest, deps)), restoring.stdin);
  } catch (error) {
    restoring.abandon();
    await restoring.ended.catch((words: unknown) => {
      // A pg_restore that has given up closes its input: its own words are the reason then.
      if (hasCode(error, ...CLOSED)) throw words;
    });
    throw error;
  }
  await restoring.ended;
  return manifest;
}

async function checkPart(folder: string, { name, bytes, sha256 }: BackupPart): Promise<void> {
  const hash = createHash("sha256");
  let seen = 0;
  for await (const chunk of createReadStream(join(folder, name)) as AsyncIterable<Buffer>) {
    seen += chunk.length;
    hash.update(chunk);
  }
  if (seen !== bytes || hash.digest("hex") !== sha256)
    throw new Error(`${join(folder, name)}: is not what was written (${seen} of ${bytes} bytes)`);
}

async function* plaintextOf(
  folder: string,
  { parts, sealed }: BackupManifest,
  { openPlaintext }: RestoreDeps,
): AsyncGenerator<Uint8Array> {
  for (const { name } of parts) {
    const file = join(folder, name);
    const plaintext = sealed.length === 0 ? createReadStream(file) : await openPlaintext(file);
    if (plaintext === undefined)
      throw new RestoreRefused(
        `${file}: none of the given keys opens it (sealed by ${sealed.join(" and ")})`,
      );
    yield* plaintext as AsyncIterable<Uint8Array>;
  }
}

/** Holds each piece until the next one is there, and so the last until its seal has proved good: having all, pg_restore commits. */
async function* lastHeld(plaintext: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined;
  for await (const piece of plaintext) {
    if (piece.length === 0) continue;
    if (held !== undefined) yield held;
    held = piece;
  }
  if (held !== undefined) yield held;
}
