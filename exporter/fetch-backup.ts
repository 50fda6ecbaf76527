import { join } from "node:path";
import { listBackups } from "./backup-keep.ts";
import { manifestNames } from "./backup-manifest.ts";
import { readBackup, type FoundBackup, type FindDeps } from "./find-backup.ts";
import type { Destination } from "./types.ts";
import { withRestoreFolder } from "./work-folder.ts";

export interface FetchDeps extends FindDeps {
  /** Private, with room for the whole backup. */
  readonly workFolder: string;
}

/** Asks for the newest. */
const LATEST = "latest";

/**
 * Fetches a backup from a destination, lets `work` have it, and takes it away again. Its manifest comes first: nothing more is
 * fetched when that is not trusted.
 *
 * @param name or `latest`
 */
export async function withFetchedBackup<T>(
  destination: Destination,
  name: string,
  deps: FetchDeps,
  work: (found: FoundBackup) => Promise<T>,
): Promise<T> {
  const wanted = name === LATEST ? await newestOf(destination) : name;
  return withRestoreFolder(deps.workFolder, async (folder) => {
    await fetchManifest(destination, wanted, folder);
    const found = await readBackup(join(folder, wanted), deps);
    for (const part of found.manifest.parts)
      await destination.download(part.name, join(folder, part.name));
    return work(found);
  });
}

async function newestOf(destination: Destination): Promise<string> {
  const [newest] = await listBackups(destination);
  if (newest === undefined) throw new Error(`${destination.name}: has no finished backup`);
  return newest;
}

async function fetchManifest(
  destination: Destination,
  backup: string,
  folder: string,
): Promise<void> {
  for (const file of manifestNames(backup)) {
    if (!(await destination.has(file))) continue;
    await destination.download(file, join(folder, file));
    return;
  }
  throw new Error(`${destination.name}: no finished backup ${backup} (it has no manifest)`);
}
