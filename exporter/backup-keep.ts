import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../lib/error.ts";
import {
  backupOf,
  PREFIX,
  readManifest,
  type BackupManifest,
  type Trust,
} from "./backup-manifest.ts";
import type { Destination } from "./types.ts";

export interface Removed {
  /** Older backups that were taken away, as `destination: name`. */
  readonly removed: readonly string[];
  /** Those that should have been, each with the reason. */
  readonly notRemoved: readonly string[];
}

export interface KeepDeps {
  /** Private; manifests are looked at there. */
  readonly workFolder: string;
  /** Whose manifests count: a stranger's must not make ours look old. */
  readonly trust: Trust;
}

/** The names of finished backups that a place has, the newest first. */
export async function listBackups(destination: Destination): Promise<readonly string[]> {
  const names = (await destination.list(PREFIX)).flatMap((name) => backupOf(name) ?? []);
  return [...new Set(names)].sort().reverse();
}

/**
 * Takes older finished backups of the same database away, at each place that has the new one. The new one stays whatever the
 * clock once said, and others that share the place are none of ours.
 *
 * @param newest that was just finished; it is one of the `keep`
 * @param keep all when undefined
 */
export async function removeOldBackups(
  newest: BackupManifest,
  keep: number | undefined,
  holders: readonly Destination[],
  deps: KeepDeps,
): Promise<Removed> {
  const [removed, notRemoved]: [string[], string[]] = [[], []];
  if (keep === undefined) return { removed, notRemoved };
  for (const destination of holders) {
    try {
      for (const { manifest, file } of (await ours(newest, destination, deps)).slice(keep - 1)) {
        const label = `${destination.name}: ${manifest.name}`;
        try {
          // The manifest last: until then the next run finds what is left.
          for (const { name } of manifest.parts) await destination.remove(name);
          await destination.remove(file);
          removed.push(label);
        } catch (error) {
          notRemoved.push(`${label}: ${messageOf(error)}`);
        }
      }
    } catch (error) {
      notRemoved.push(messageOf(error));
    }
  }
  return { removed, notRemoved };
}

interface Old {
  readonly manifest: BackupManifest;
  readonly file: string;
}

/** Other backups of the same database, the newest first. */
async function ours(
  { database, name: newest }: BackupManifest,
  destination: Destination,
  deps: KeepDeps,
): Promise<readonly Old[]> {
  const files = (await destination.list(PREFIX)).filter((file) => {
    const backup = backupOf(file);
    return backup !== undefined && backup !== newest;
  });
  const found: Old[] = [];
  for (const file of files.sort().reverse()) {
    const manifest = await look(file, destination, deps);
    if (manifest?.database.system === database.system && manifest.database.name === database.name)
      found.push({ manifest, file });
  }
  return found;
}

/** Undefined when it is not a manifest that counts. @throws DestinationError */
async function look(
  name: string,
  destination: Destination,
  { workFolder, trust }: KeepDeps,
): Promise<BackupManifest | undefined> {
  const path = join(workFolder, name);
  try {
    await destination.download(name, path);
    return readManifest({ name, text: await readFile(path, "utf8") }, trust);
  } catch (error) {
    if (Error.isError(error) && error.name === "DestinationError") throw error;
    return undefined;
  } finally {
    await rm(path, { force: true });
  }
}
