import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Archive, Destination, StoredExport } from "./types.ts";

export interface RetainDeps {
  readonly archive: Archive;
  readonly destinations: readonly Destination[];
  /** Days by destination name; a destination that is not in it keeps everything. */
  readonly days: Readonly<Record<string, number | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal?: AbortSignal | undefined;
}

export interface RetainResult {
  readonly destination: string;
  /** File names, the oldest export first. */
  readonly deleted: readonly string[];
  readonly kept: number;
}

/** However old they are, so many exports stay at each destination. */
const KEEP_MIN = 3;
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Takes exports away that are older than their destination keeps them. Only what our own record says that we wrote there,
 * never the newest ones; an export's manifest goes last, so that what is left of an interrupted run can still be proved.
 *
 * @param dryRun tells what would go and touches nothing
 */
export async function retain(dryRun: boolean, deps: RetainDeps): Promise<readonly RetainResult[]> {
  const results: RetainResult[] = [];
  for (const destination of deps.destinations) {
    const days = deps.days[destination.name];
    if (days === undefined) continue;
    const stored = await deps.archive.stored(destination.name);
    const oldest = deps.clock.now().getTime() - days * DAY_MS;
    const old = stored.slice(KEEP_MIN).filter(({ cutoff }) => cutoff.getTime() < oldest);
    const deleted: string[] = [];
    for (const each of old.toReversed()) {
      deps.signal?.throwIfAborted();
      if (!dryRun) await remove(destination, each, deps);
      deleted.push(...each.files.map(({ name }) => name));
    }
    results.push({ destination: destination.name, deleted, kept: stored.length - old.length });
  }
  return results;
}

async function remove(
  destination: Destination,
  old: StoredExport,
  { archive, log, signal }: RetainDeps,
): Promise<void> {
  for (const { name } of old.files) await destination.remove(name, signal);
  await archive.recordDeleted(destination.name, old);
  log.info("export deleted by retention", {
    destination: destination.name,
    export_id: old.exportId,
    files: old.files.length,
  });
}
