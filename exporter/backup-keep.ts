import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf } from "../lib/error.ts";
import { readManifest, type BackupManifest } from "./backup-manifest.ts";

/** How the folders of backups begin; the time of their start follows. */
export const PREFIX = "backup-";

export interface Removed {
  /** Names of older backups that were taken away. */
  readonly removed: readonly string[];
  /** Those that should have been, each with the reason. */
  readonly notRemoved: readonly string[];
}

/**
 * Takes older finished backups of the same database away. The new one stays whatever the clock once said, and others that
 * share the folder are none of ours.
 *
 * @param newest folder of the backup that was just finished; it is one of the `keep`
 * @param keep all when undefined
 */
export async function removeOldBackups(
  newest: string,
  { database }: Pick<BackupManifest, "database">,
  keep: number | undefined,
): Promise<Removed> {
  if (keep === undefined) return { removed: [], notRemoved: [] };
  const parent = dirname(newest);
  const names = (await readdir(parent))
    .filter((name) => name.startsWith(PREFIX) && name !== basename(newest))
    .sort()
    .reverse();
  const ours: string[] = [];
  for (const name of names) if (await isOf(database, join(parent, name))) ours.push(name);
  const [removed, notRemoved]: [string[], string[]] = [[], []];
  for (const name of ours.slice(keep - 1)) {
    try {
      await rm(join(parent, name), { recursive: true });
      removed.push(name);
    } catch (error) {
      notRemoved.push(`${name}: ${messageOf(error)}`);
    }
  }
  return { removed, notRemoved };
}

async function isOf(database: BackupManifest["database"], folder: string): Promise<boolean> {
  const manifest = await readManifest(folder).catch(() => undefined); // not finished, or not a backup
  return manifest?.database.system === database.system && manifest.database.name === database.name;
}
