import type { Bucket, File } from "@google-cloud/storage";
import { addAbortSignal, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  measure,
  StorageError,
  type BlobEntry,
  type BlobStore,
  type GcsOptions,
  type PutInfo,
  type StoredBlob,
} from "../../storage.ts";
import { frameOf, within, type Frame } from "./frame.ts";
import { answerMs } from "./pace.ts";
import { statusOf } from "./vendor-error.ts";

/** A multiple of 256 KiB, as the protocol wants it; this much is in memory. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** A bucket of Google Cloud Storage, by its default credentials. The SDK is loaded when it is first needed. */
export function openGcsStore(options: GcsOptions): BlobStore {
  const { bucket, prefix } = options;
  const { name, nameOf, told } = frameOf({
    scheme: "gs",
    place: bucket,
    prefix,
    connect: async () => connect(options),
  });
  return {
    name,
    put: async (key, body, info) =>
      told(`put ${key}`, async (bucketOf) => {
        const file = bucketOf.file(nameOf(key));
        return { location: `gs://${bucket}/${file.name}`, ...(await putFile(file, body, info)) };
      }),
    get: async (key, signal) =>
      told(`read ${key}`, async (bucketOf) => {
        const file = bucketOf.file(nameOf(key));
        const [exists] = await within(signal, file.exists());
        if (!exists) throw new StorageError("missing", `${name}: there is no ${key}`);
        return addAbortSignal(signal, file.createReadStream({ validation: "crc32c" }));
      }),
    head: async (key, signal) =>
      told(`look at ${key}`, async (bucketOf) => {
        try {
          const [head] = await within(signal, bucketOf.file(nameOf(key)).getMetadata());
          const { size, etag, retention } = head;
          const until = retention?.retainUntilTime;
          const lockedUntil = until === undefined ? undefined : new Date(until);
          return { bytes: Number(size), etag, metadata: textsOf(head.metadata), lockedUntil };
        } catch (error) {
          if (statusOf(error) === 404) return undefined;
          throw error;
        }
      }),
    list: (under, signal) => entries({ prefix, under, told, signal }),
    delete: async (key, signal) =>
      told(`delete ${key}`, async (bucketOf) => {
        await within(signal, bucketOf.file(nameOf(key)).delete({ ignoreNotFound: true }));
      }),
    link: async (key, seconds) =>
      told(`link ${key}`, async (bucketOf) => {
        if (options.endpoint !== undefined) return undefined; // without credentials there is no signature
        const expires = options.clock.now().getTime() + seconds * 1000;
        const file = bucketOf.file(nameOf(key));
        const [url] = await file.getSignedUrl({ version: "v4", action: "read", expires });
        return url;
      }),
  };
}

async function connect({ bucket, endpoint }: GcsOptions): Promise<Bucket> {
  const { IdempotencyStrategy, Storage } = await import("@google-cloud/storage");
  const storage = new Storage({
    ...(endpoint === undefined ? {} : { apiEndpoint: endpoint, projectId: "any" }),
    // Whoever asked tries again by himself, from the beginning.
    retryOptions: {
      autoRetry: false,
      maxRetries: 0,
      idempotencyStrategy: IdempotencyStrategy.RetryNever,
    },
  });
  return storage.bucket(bucket);
}

/** Google works out CRC32C of what arrives; its answer is compared with ours, and the upload's last request names it. */
async function putFile(
  file: File,
  body: Readable,
  info: PutInfo,
): Promise<Omit<StoredBlob, "location">> {
  const { signal, contentType, metadata, ifAbsent, lockedUntil, onWait } = info;
  const { pieces, content } = measure(body, info);
  const upload = file.createWriteStream({
    resumable: true,
    chunkSize: CHUNK_BYTES,
    validation: "crc32c",
    contentType,
    metadata: {
      metadata: { ...metadata },
      // The bucket must have been made with object retention.
      ...(lockedUntil === undefined
        ? {}
        : { retention: { mode: "Locked", retainUntilTime: lockedUntil.toISOString() } }),
    },
    ...(ifAbsent === true ? { preconditionOpts: { ifGenerationMatch: 0 } } : {}),
  });
  // A chunk is read before it goes out; meanwhile nothing of the body is.
  upload.on("progress", () => onWait?.(answerMs(CHUNK_BYTES)));
  await pipeline(pieces, upload, { signal });
  const { size, etag, crc32c } = file.metadata;
  if (Number(size) !== content().bytes)
    throw new StorageError("corrupt", `${file.name}: the store has ${String(size)} bytes`);
  return { ...content(), etag, verifiedBy: crc32c === undefined ? "size" : "crc32c" };
}

function textsOf(metadata: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [name, String(value)] as const),
  );
}

interface Listing {
  readonly prefix: string;
  readonly under: string;
  readonly signal: AbortSignal;
  readonly told: Frame<Bucket>["told"];
}

const PAGE = 1_000;

async function* entries({ prefix, under, signal, told }: Listing): AsyncGenerator<BlobEntry> {
  const strip = prefix === "" ? 0 : prefix.length + 1;
  const start = prefix === "" ? under : `${prefix}/${under}`;
  for (let next: string | undefined; ;) {
    const [files, query] = await told(`list ${under}`, async (bucket) =>
      within(
        signal,
        bucket.getFiles({
          prefix: start,
          maxResults: PAGE,
          autoPaginate: false,
          ...(next === undefined ? {} : { pageToken: next }),
        }),
      ),
    );
    for (const { name, metadata } of files)
      yield { key: name.slice(strip), bytes: Number(metadata.size) };
    next = (query as { readonly pageToken?: string } | null)?.pageToken;
    if (next === undefined) return;
  }
}
