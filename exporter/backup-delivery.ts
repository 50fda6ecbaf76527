import { rm } from "node:fs/promises";
import { messageOf } from "../lib/error.ts";
import { backupOf } from "./backup-manifest.ts";
import { hashFile } from "./hash-file.ts";
import type { Destination, Parcel } from "./types.ts";

/**
 * The places that a backup goes to. One that fails gets no more of it, and what it has is taken away again; the backup goes on
 * as long as one is left.
 */
export class BackupDelivery {
  /** What each of those that are left has. */
  readonly #sent: Map<Destination, string[]>;
  readonly #failures: unknown[] = [];

  /** @param destinations at least one */
  constructor(destinations: readonly Destination[]) {
    this.#sent = new Map(destinations.map((destination) => [destination, []]));
  }

  /** Hands a file over, and deletes it here. @throws what the last place that was left said */
  async send(parcel: Parcel): Promise<void> {
    for (const [destination, sent] of this.#sent) {
      try {
        await destination.upload(parcel);
        sent.push(parcel.name);
      } catch (error) {
        this.#failures.push(error);
        this.#sent.delete(destination);
        const isGone = await removeOurs(destination, parcel);
        // Without its manifest it is no backup; with one that stays, what is listed as a backup is to be one.
        if (isGone || backupOf(parcel.name) === undefined) await withdrawFrom(destination, sent);
      }
    }
    await rm(parcel.path, { force: true });
    if (this.#sent.size === 0) throw this.#failures.at(-1);
  }

  /** Takes away what was handed over, as far as the places let it go. */
  async withdraw(): Promise<void> {
    for (const [destination, sent] of this.#sent) await withdrawFrom(destination, sent);
  }

  /** Those that have every file. */
  holders(): readonly Destination[] {
    return [...this.#sent.keys()];
  }

  /** Those that have not, each with the reason. */
  failures(): readonly string[] {
    return this.#failures.map(messageOf);
  }
}

/** What stays is no backup without its manifest, and does no harm but cost. A file that was refused may be somebody else's. */
async function withdrawFrom(destination: Destination, names: readonly string[]): Promise<void> {
  for (const name of names) await destination.remove(name).catch(() => undefined);
}

/**
 * Takes away a file whose upload failed when it had its name already. What has other bytes than ours may be somebody else's.
 *
 * @returns whether the place does not have it; false also where nobody can say
 */
async function removeOurs(destination: Destination, file: Parcel): Promise<boolean> {
  const copy = `${file.path}.there`;
  try {
    if (!(await destination.has(file.name))) return true;
    await destination.download(file.name, copy);
    if (!file.knownSha256.has((await hashFile(copy)).sha256)) return true;
    await destination.remove(file.name);
    return true;
  } catch {
    return false;
  } finally {
    await rm(copy, { force: true });
  }
}
