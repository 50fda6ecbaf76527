import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";
import type { Log } from "../lib/log.ts";
import { DestinationError, isRefusal } from "./destination-error.ts";
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
  /** File names, the oldest export first; of one that is held the files that were taken away before. */
  readonly deleted: readonly string[];
  readonly kept: number;
  /** Old exports that the destination does not let go: under a lock or a legal hold, or because we may not delete. */
  readonly held: readonly HeldExport[];
  /** Why the destination was left before its end; undefined: it was not. */
  readonly problem: string | undefined;
}

interface HeldExport {
  readonly exportId: string;
  /** The first file that stays; the manifest stays with it. */
  readonly name: string;
  /** In the destination's words. */
  readonly reason: string;
}

/** However old they are, so many exports with rows stay at each destination, and whatever is newer than the oldest of them. */
const KEEP_MIN = 3;
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Takes exports away that are older than their destination keeps them. Only what our own record says that we wrote there,
 * never the newest ones; an export's manifest goes last, so that what is left of an interrupted run can still be proved.
 *
 * One that the destination holds on to is told, with the reason, and the next one is tried; a destination that does not answer
 * is told, and the next one is tried.
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
    const old = behindNewest(stored).filter(({ cutoff }) => cutoff.getTime() < oldest);
    const told = await takeAway(destination, old.toReversed(), dryRun, deps);
    const kept = stored.length - old.length;
    results.push({ destination: destination.name, kept, ...told });
  }
  return results;
}

/** Runs without new rows leave a manifest only: they are no copy of anything, and must not push the last copies out. */
function behindNewest(stored: readonly StoredExport[]): readonly StoredExport[] {
  let withRows = 0;
  const end = stored.findIndex(
    ({ files }) =>
      files.some(({ plaintextSha256 }) => plaintextSha256 !== undefined) && ++withRows === KEEP_MIN,
  );
  return end < 0 ? [] : stored.slice(end + 1);
}

async function takeAway(
  destination: Destination,
  old: readonly StoredExport[],
  dryRun: boolean,
  deps: RetainDeps,
): Promise<Pick<RetainResult, "deleted" | "held" | "problem">> {
  const deleted: string[] = [];
  const held: HeldExport[] = [];
  let problem: string | undefined;
  for (const each of old) {
    deps.signal?.throwIfAborted();
    const { gone, failure } = dryRun
      ? { gone: each.files.map(({ name }) => name) }
      : await remove(destination, each, deps);
    deleted.push(...gone);
    if (failure === undefined) continue;
    const { name, error } = failure;
    if (!isRefusal(error)) {
      problem = messageOf(error);
      break;
    }
    held.push({ exportId: each.exportId, name, reason: messageOf(error) });
  }
  if (held.length > 0) await tellHeld(destination, held, deps);
  return { deleted, held, problem };
}

async function tellHeld(
  { name: destination }: Destination,
  held: readonly HeldExport[],
  { archive, log }: RetainDeps,
): Promise<void> {
  await archive.recordHeld(destination, held);
  log.warn("the destination holds on to exports that retention wanted to delete", {
    destination,
    exports: held.length,
    reason: held[0]?.reason,
  });
}

interface Removed {
  /** File names. */
  readonly gone: readonly string[];
  /** What ended it, and at which file. */
  readonly failure?: { readonly name: string; readonly error: DestinationError };
}

/** One file after the other, as far as it goes: what is gone is recorded, whatever becomes of the rest. */
async function remove(
  destination: Destination,
  { exportId, files }: StoredExport,
  { archive, log, signal }: RetainDeps,
): Promise<Removed> {
  const gone: string[] = [];
  try {
    for (const { name } of files) {
      await destination.remove(name, signal);
      gone.push(name);
    }
    return { gone };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof DestinationError)) throw error;
    return { gone, failure: { name: files[gone.length]?.name ?? "", error } };
  } finally {
    if (gone.length > 0) {
      await archive.recordDeleted(destination.name, exportId, gone);
      log.info("export deleted by retention", {
        destination: destination.name,
        export_id: exportId,
        files: gone.length,
        of: files.length,
      });
    }
  }
}
