import type { Clock } from "../../lib/clock.ts";
import type { Sealing } from "../../lib/envelope/seal-under.ts";
import { messageOf } from "../../lib/error.ts";
import { failpoint } from "../../lib/failpoint.ts";
import { Pieces } from "../../lib/pieces.ts";
import type { BlobStore, StoredBlob } from "../../lib/storage.ts";
import { BackendError } from "../backends/error.ts";
import type { OfSnapshot } from "../backends/types.ts";
import type { Claim, Run, Step } from "../operations/types.ts";
import { putManifest, type SnapshotManifest } from "./manifest.ts";
import { putParts, type Part } from "./put-parts.ts";
import type { Vault } from "./types.ts";
import { unlessSilent, wholeTar } from "./whole-tar.ts";

interface ExportRequest extends OfSnapshot {
  /** RFC 3339. */
  readonly taken: string;
}

export interface ExportDeps {
  readonly vault: Pick<Vault, "partBytes" | "log">;
  readonly store: BlobStore;
  readonly sealing: Sealing;
  readonly clock: Clock;
}

export interface Exported {
  readonly manifest: SnapshotManifest;
  readonly stored: StoredBlob;
  readonly parts: readonly Part[];
}

/** An engine that sends nothing for so long has stopped. */
const SILENT_MS = 120_000;
/** What was put is taken away again, also when the export itself was called off. */
const CLEAN_MS = 60_000;
const TELL_EVERY_MS = 5_000;
const MEGABYTE = 1_000_000;

/**
 * Reads a snapshot from its engine, and puts it sealed into the store, in a folder of this attempt's own. The manifest comes
 * last: without it nothing was exported. An attempt that fails leaves no file, and what an earlier attempt has left goes first.
 *
 * @throws with the engine's, the keys' or the store's words
 */
export async function exportSnapshot(
  request: ExportRequest,
  run: Run,
  deps: ExportDeps,
): Promise<Exported> {
  const folder = folderOf(request, run.claim);
  await removeAll(deps.store, attemptsOf(request, run.claim), run.signal);
  try {
    return await put(request, folder, run, deps);
  } catch (error) {
    await removeAll(deps.store, `${folder}/`, AbortSignal.timeout(CLEAN_MS)).catch(
      (left: unknown) => {
        deps.vault.log.warn("parts of a failed export left", { folder, error: messageOf(left) });
      },
    );
    throw error;
  }
}

/** In the store, of this attempt. */
export function folderOf(place: OfSnapshot, claim: Pick<Claim, "id" | "epoch">): string {
  return `${attemptsOf(place, claim)}${claim.epoch}`;
}

function attemptsOf({ project, name, snapshot }: OfSnapshot, { id }: Pick<Claim, "id">): string {
  return `${project}/${name}/${snapshot}/${id}-`;
}

async function removeAll(store: BlobStore, prefix: string, signal: AbortSignal): Promise<void> {
  for await (const { key } of store.list(prefix, signal)) await store.delete(key, signal);
}

async function put(
  request: ExportRequest,
  folder: string,
  run: Run,
  deps: ExportDeps,
): Promise<Exported> {
  const { taken, ...place } = request;
  const { backend, claim } = run;
  const halt = new AbortController();
  const signal = AbortSignal.any([run.signal, halt.signal]);
  const progress = tellBytes(run, deps.clock);
  const exportId = `${claim.id}-${claim.epoch}`;
  await run.tell({ percent: 5, message: "the engine packs the snapshot" });
  const stream = await backend.snapshots.export({ ...place, exportId }, { signal });
  await failpoint("snapshot-packed");
  const onSilence = () => {
    const why = `the ${backend.name} backend sent nothing for ${SILENT_MS / 1000} s`;
    halt.abort(new BackendError("timeout", why));
  };
  const source = new Pieces(wholeTar(unlessSilent(stream, SILENT_MS, onSilence)));
  try {
    const { partBytes, log } = deps.vault;
    const target = { exportId: claim.id, folder, nameOf: partNames(place) };
    const parts = await putParts(source, target, {
      ...{ ...deps, partBytes, log, signal, onBytes: progress.add },
    });
    await failpoint("snapshot-parts-stored");
    const manifest: SnapshotManifest = {
      format: "fettle-snapshot-1",
      id: claim.id,
      backend: backend.name,
      project: place.project,
      container: place.name,
      snapshot: place.snapshot,
      taken,
      exported: deps.clock.now().toISOString(),
      tarBytes: progress.bytes(),
      keysMissing: keysMissing(parts, deps),
      parts: parts.map(({ name, bytes, sha256, keyIds }) => ({ name, bytes, sha256, keyIds })),
    };
    const stored = await putManifest(deps.store, folder, manifest, signal);
    return { manifest, stored, parts };
  } finally {
    // First the signal: an engine that is waited for would keep the stream from being closed.
    halt.abort(new Error("the export is over"));
    await source.close();
  }
}

/** As exports of the record are called: `web.s1.tar`, then `web.s1.part002.tar`. */
function partNames({ name, snapshot }: OfSnapshot): (part: number) => string {
  const stem = `${name}.${snapshot}`;
  return (part) =>
    part === 1 ? `${stem}.tar` : `${stem}.part${String(part).padStart(3, "0")}.tar`;
}

function keysMissing(parts: readonly Part[], { sealing }: ExportDeps): string[] {
  const names = sealing.wrappers.map(({ name }) => name);
  return names.filter((name) => !parts.every(({ keyIds }) => name in keyIds));
}

/** How much there will be nobody knows, so it is told how much there was. */
function tellBytes(
  { tell }: Pick<Run, "tell">,
  clock: Clock,
): { readonly add: (bytes: number) => void; readonly bytes: () => number } {
  let total = 0;
  let told = clock.now().getTime();
  return {
    add: (bytes) => {
      total += bytes;
      const now = clock.now().getTime();
      if (now - told < TELL_EVERY_MS) return;
      told = now;
      const message = `${Math.floor(total / MEGABYTE)} MB read, sealed and stored`;
      const step: Step = { percent: 50, message };
      void tell(step).catch(() => undefined); // an hour's work does not end for want of a word about it
    },
    bytes: () => total,
  };
}
