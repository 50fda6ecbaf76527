import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../../lib/clock.ts";
import { compress } from "../../lib/compress.ts";
import { sealUnder, type Sealing } from "../../lib/envelope/seal-under.ts";
import { hasCode } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { Pieces } from "../../lib/pieces.ts";
import type { BlobStore, StoredBlob } from "../../lib/storage.ts";

/** One sealed file of an export, as its manifest lists it. */
export interface ListedPart {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly keyIds: Readonly<Record<string, string>>;
}

export interface Part extends ListedPart {
  /** Where it is, for people. */
  readonly location: string;
}

interface PutDeps {
  readonly store: BlobStore;
  readonly sealing: Sealing;
  readonly clock: Clock;
  readonly log: Log;
  readonly partBytes: number;
  readonly signal: AbortSignal;
  /** Of the tar, so far. */
  readonly onBytes: (bytes: number) => void;
}

/** A terabyte in parts of 256 MB; more is no snapshot of a container but a mistake. */
const PARTS_MAX = 4_000;

/**
 * Cuts a stream, seals each part by itself and puts it into the store. Plaintext never rests on a disk.
 *
 * @param nameOf `web.s1.tar` for the first part, …
 */
export async function putParts(
  source: Pieces,
  target: {
    readonly exportId: string;
    readonly folder: string;
    readonly nameOf: (part: number) => string;
  },
  deps: PutDeps,
): Promise<readonly Part[]> {
  const parts: Part[] = [];
  while (await source.hasMore()) {
    if (parts.length === PARTS_MAX)
      throw new Error(`the snapshot takes more than ${PARTS_MAX} parts of ${deps.partBytes} bytes`);
    const originalFilename = `${target.nameOf(parts.length + 1)}.zst`;
    const head = { originalFilename, exportId: target.exportId, created: deps.clock.now() };
    const { layer, keyIds, failures } = await sealUnder(deps.sealing, head);
    for (const failure of failures) deps.log.error("sealed without a wrapping key", { failure });
    const name = `${originalFilename}.envelope.json`;
    const stored = await fill(source, layer, `${target.folder}/${name}`, deps);
    parts.push({ name, location: stored.location, ...contentOf(stored), keyIds });
  }
  return parts;
}

function contentOf({ bytes, sha256 }: StoredBlob) {
  return { bytes, sha256 };
}

async function fill(
  source: Pieces,
  seal: Transform,
  key: string,
  { store, signal, partBytes, onBytes }: PutDeps,
): Promise<StoredBlob> {
  const counted = async function* () {
    for await (const piece of source.take(partBytes)) {
      onBytes(piece.length);
      yield piece;
    }
  };
  const info = { contentType: "application/json", signal, ifAbsent: true };
  const [filled, stored] = await Promise.allSettled([
    pipeline(counted, compress(), seal),
    store.put(key, seal, info).finally(() => {
      seal.destroy(); // else who fills it would wait for a reader for ever
    }),
  ]);
  if (filled.status === "rejected" && !hasCode(filled.reason, "ERR_STREAM_PREMATURE_CLOSE"))
    throw filled.reason;
  if (stored.status === "rejected") throw stored.reason;
  return stored.value;
}
