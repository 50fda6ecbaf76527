import { createHash } from "node:crypto";
import { addAbortSignal, type Readable } from "node:stream";
import type { Clock } from "./clock.ts";
import type { Secret } from "./secret.ts";
import type { DropboxOptions, GoogleDriveOptions, GraphOptions } from "./storage-drives.ts";

/**
 * A place for files that outlive this program: a folder, or a bucket of a cloud. A key names one object: whoever puts the same
 * key twice replaces the object, or with `ifAbsent` is refused. All failures are {@link StorageError}.
 */
export interface BlobStore {
  /** For people and logs, such as `s3://bucket/prefix`; without credentials. */
  readonly name: string;
  /** Nothing is there under the key until all of it is; a failure leaves what was there before. */
  put(key: string, body: Readable, info: PutInfo): Promise<StoredBlob>;
  get(key: string, signal: AbortSignal): Promise<Readable>;
  /** Undefined when there is no such object. */
  head(key: string, signal: AbortSignal): Promise<BlobHead | undefined>;
  /** Every object whose key begins with `prefix`, in no particular order. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<BlobEntry>;
  /** Deleting what is not there is no failure. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** An address under which anybody may read the object for so long; undefined when the store, or its credentials, cannot. */
  link?(key: string, seconds: number): Promise<string | undefined>;
}

export interface PutInfo {
  readonly contentType: string;
  readonly signal: AbortSignal;
  /** True: an object that is there already is left alone, and the answer is a StorageError of the kind "exists". */
  readonly ifAbsent?: boolean;
  /** When it is known what the bytes must be. A store that can work out SHA-256 itself then refuses any others. */
  readonly expected?: Content;
  /** Kept with the object, where the store can; names and values in ASCII. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Told before a wait in which nothing of the body is read: so long the store may be at work. In milliseconds. */
  readonly onWait?: ((ms: number) => void) | undefined;
  /** Until then nobody may change or delete the object. A store that cannot promise it refuses; a folder always does. */
  readonly lockedUntil?: Date | undefined;
}

export interface Content {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface StoredBlob extends Content {
  /** Where it is, for people: `s3://bucket/key`. */
  readonly location: string;
  readonly etag: string | undefined;
  /**
   * How it is known that the store has exactly these bytes: the checksum that the store worked out by itself and that was
   * compared with ours. "content-hash" is Dropbox' (of SHA-256s), "quickxor" Microsoft's, which finds accidents and no intent.
   * "size": a store that knows no checksums.
   */
  readonly verifiedBy: "sha256" | "crc32c" | "md5" | "content-hash" | "quickxor" | "size";
}

interface BlobHead {
  readonly bytes: number;
  readonly etag: string | undefined;
  /** Empty where the store keeps none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Until then nobody may change or delete it; undefined: it is not locked, or the lock may not be seen. */
  readonly lockedUntil?: Date | undefined;
}

export interface BlobEntry {
  readonly key: string;
  readonly bytes: number;
}

/**
 * exists: `ifAbsent` and it is there. missing: no such object. corrupt: the store has, or gave, other bytes than were sent.
 * refused: it said no, and will say so again until somebody changes something. unavailable: no answer, or a passing one.
 */
type StorageFailure = "exists" | "missing" | "corrupt" | "refused" | "unavailable";

export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly kind: StorageFailure;
  /** It was asked as often as is good, or wants to be left alone for long: whoever tries again waits for his next run. */
  readonly later: boolean;

  /** @param cause only its message is kept: the errors of the vendors carry whole requests, with their credentials. */
  constructor(kind: StorageFailure, message: string, cause?: string, later = false) {
    super(cause === undefined ? message : `${message}: ${cause}`);
    this.kind = kind;
    this.later = later;
  }

  /** Whether the same call may succeed when nobody has changed anything. */
  get retryable(): boolean {
    return this.kind === "unavailable" || this.kind === "corrupt";
  }
}

/** Where files go, and how they get there. */
export type StoreOptions =
  | { readonly kind: "folder"; readonly path: string }
  | (S3Options & { readonly kind: "s3" })
  | (GcsOptions & { readonly kind: "gcs" })
  | (AzureOptions & { readonly kind: "azure" })
  | (GoogleDriveOptions & { readonly kind: "gdrive" })
  | (DropboxOptions & { readonly kind: "dropbox" })
  | (GraphOptions & { readonly kind: "onedrive" | "sharepoint" });

export interface S3Options {
  readonly bucket: string;
  /** In front of every key, without slashes at its ends; may be empty. */
  readonly prefix: string;
  /** The SDK's own chain (AWS_REGION, the profile) when undefined. */
  readonly region: string | undefined;
  /** Of MinIO, Ceph and the like; AWS when undefined. */
  readonly endpoint: string | undefined;
  /** `endpoint/bucket/key` in place of `bucket.endpoint/key`. */
  readonly pathStyle: boolean;
  /** The SDK's own chain (environment, profile, web identity, instance) when undefined. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: Secret };
  readonly clock: Pick<Clock, "now">;
  /** Objects there may be locked: then nothing is deleted of which that may not be seen. */
  readonly locks?: boolean;
  /** For tests: a connection that is silent is given up so many times sooner. */
  readonly impatience?: number;
}

export interface GcsOptions {
  readonly bucket: string;
  readonly prefix: string;
  /** Of an emulator, which is asked without credentials; Google when undefined. */
  readonly endpoint: string | undefined;
  readonly clock: Pick<Clock, "now">;
}

export interface AzureOptions {
  readonly container: string;
  readonly prefix: string;
  /** With the account's key in it. */
  readonly connectionString: Secret | undefined;
  /** `https://<account>.blob.core.windows.net`, reached by the default credential chain, when there is no connection string. */
  readonly accountUrl: string | undefined;
  readonly clock: Pick<Clock, "now">;
}

const KEY_LENGTH_MAX = 800;

/** Names that every store takes, and that lead nowhere else in a file system. @throws StorageError */
export function checkKey(key: string): void {
  const parts = key.split("/");
  const good = parts.every((part) => /^[\w.=-]+$/.test(part) && !/^\.+$/.test(part));
  if (!good || key.length > KEY_LENGTH_MAX)
    throw new StorageError("refused", `${JSON.stringify(key.slice(0, 80))} is no key of an object`);
}

/**
 * Counts and sums what goes through `pieces`; `content()` tells what has gone through so far: a store may answer when it has the last byte, before anybody has read the
 * end. Other bytes than
 * were announced end in an error before that, so that nobody takes them for whole.
 */
export function measure(
  body: Readable,
  { signal, expected }: PutInfo,
  each: (piece: Buffer) => void = () => undefined,
): { readonly pieces: AsyncIterable<Buffer>; readonly content: () => Content } {
  const hash = createHash("sha256");
  let bytes = 0;
  // A copy: it is asked for before the end too, and more than once.
  const content = (): Content => ({ bytes, sha256: hash.copy().digest("hex") });
  const pieces = (async function* () {
    for await (const part of addAbortSignal(signal, body) as AsyncIterable<Uint8Array>) {
      const piece = Buffer.from(part);
      bytes += piece.length;
      hash.update(piece);
      each(piece);
      yield piece;
    }
    if (
      expected !== undefined &&
      (bytes !== expected.bytes || content().sha256 !== expected.sha256)
    )
      throw new StorageError("corrupt", "the bytes are not those that were announced");
  })();
  return { pieces, content };
}
