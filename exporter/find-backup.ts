import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  backupOf,
  manifestNames,
  readManifest,
  type BackupManifest,
  type Trust,
} from "./backup-manifest.ts";

export interface FindDeps {
  readonly trust: Trust;
}

/** A backup whose manifest is trusted, and the folder that has its files. */
export interface FoundBackup {
  readonly folder: string;
  readonly manifest: BackupManifest;
}

/**
 * @param path `folder/backup-…`, or that of the manifest
 * @throws NoteError when nobody who is trusted signed it; Error when it is not there, or was never finished
 */
export async function readBackup(path: string, { trust }: FindDeps): Promise<FoundBackup> {
  const backup = backupOf(basename(path)) ?? basename(path);
  const folder = dirname(path);
  for (const name of manifestNames(backup)) {
    const text = await readFile(join(folder, name), "utf8").catch(() => undefined);
    if (text !== undefined) return { folder, manifest: readManifest({ name, text }, trust) };
  }
  throw new Error(`${path}: no finished backup (it has no manifest)`);
}
