import { Readable } from "node:stream";
import type { BlobStore, StoredBlob } from "../../lib/storage.ts";
import type { ListedPart } from "./put-parts.ts";

/** The last file of an export: a folder without it was never finished. */
export const MANIFEST = "manifest.json";

/** What an export consists of. It stands in the clear, so it says nothing about the content but its size and origin. */
export interface SnapshotManifest {
  readonly format: "fettle-snapshot-1";
  /** Of the operation. */
  readonly id: string;
  /** Of the engine that reads the tar in again. */
  readonly backend: string;
  readonly project: string;
  readonly container: string;
  readonly snapshot: string;
  /** RFC 3339, likewise below. */
  readonly taken: string;
  readonly exported: string;
  /** Of the tar, before it was compressed. */
  readonly tarBytes: number;
  /** Wrapping keys that do not open every part: they did not answer, and the quorum did without. */
  readonly keysMissing: readonly string[];
  readonly parts: readonly ListedPart[];
}

export async function putManifest(
  store: BlobStore,
  folder: string,
  manifest: SnapshotManifest,
  signal: AbortSignal,
): Promise<StoredBlob> {
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  const info = { contentType: "application/json", signal, ifAbsent: true };
  return store.put(`${folder}/${MANIFEST}`, Readable.from([Buffer.from(text)]), info);
}
