import type * as S3Sdk from "@aws-sdk/client-s3";
import type {
  CompleteMultipartUploadCommandOutput,
  PutObjectCommandOutput,
  S3Client,
} from "@aws-sdk/client-s3";
import { addAbortSignal, Readable } from "node:stream";
import {
  measure,
  StorageError,
  type BlobEntry,
  type BlobStore,
  type PutInfo,
  type S3Options,
  type StoredBlob,
} from "../../storage.ts";
import { frameOf, type Frame } from "./frame.ts";
import { answerMs } from "./pace.ts";
import { PartHashes } from "./s3-part-hashes.ts";
import { encode, presignGet } from "./s3-presign.ts";
import { statusOf } from "./vendor-error.ts";

/** AWS' limit for one PutObject is 5 GiB. */
const SINGLE_BYTES_MAX = 5 * 1024 ** 3;
/** With 10,000 parts at most this is enough for 80 GB. */
const PART_BYTES = 8 * 1024 * 1024;
/** Parts in memory at once. */
const PARTS_AT_ONCE = 2;
const SILENT = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const CONNECT_MS = 5_000;
/**
 * Without a byte on a connection, which also is the time for the answer after the last byte of a part: no shorter than what
 * whoever waits allows for that. What hangs is given up by their signals.
 */
const SILENCE_MS = answerMs(PART_BYTES);

/** A bucket of S3, or of something that speaks its protocol. The SDK (150 ms, 32 MB) is loaded when it is first needed. */
export function openS3Store(options: S3Options): BlobStore {
  const { bucket, prefix } = options;
  const { name, nameOf, told } = frameOf({
    scheme: "s3",
    place: bucket,
    prefix,
    connect: async () => connect(options),
  });
  return {
    name,
    put: async (key, body, info) =>
      told(`put ${key}`, async (s3) => {
        const object = { Bucket: bucket, Key: nameOf(key) };
        const stored = await putObject(s3, object, body, info);
        return { location: `s3://${bucket}/${object.Key}`, ...stored };
      }),
    get: async (key, signal) =>
      told(`read ${key}`, async ({ sdk, client }) => {
        const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: nameOf(key) });
        const { Body: body } = await missing(client.send(command, { abortSignal: signal }), key);
        if (!(body instanceof Readable)) throw new StorageError("unavailable", "no content came");
        return addAbortSignal(signal, body);
      }),
    head: async (key, signal) =>
      told(`look at ${key}`, async ({ sdk, client }) => {
        const command = new sdk.HeadObjectCommand({ Bucket: bucket, Key: nameOf(key) });
        try {
          const head = await client.send(command, { abortSignal: signal });
          const { ContentLength: bytes = 0, ETag: etag, Metadata: metadata = {} } = head;
          return { bytes, etag, metadata, lockedUntil: head.ObjectLockRetainUntilDate };
        } catch (error) {
          // A HEAD has no body that could tell a missing bucket from a missing object.
          if (statusOf(error) === 404) return undefined;
          throw error;
        }
      }),
    list: (under, signal) => entries({ bucket, prefix, under, told, signal }),
    delete: async (key, signal) =>
      told(`delete ${key}`, async (s3) => {
        const place = { Bucket: bucket, Key: nameOf(key) };
        const held = await lockOn(s3, place, options, signal);
        if (held !== undefined) throw new StorageError("refused", held);
        const command = new s3.sdk.DeleteObjectCommand(place);
        await s3.client.send(command, { abortSignal: signal });
      }),
    link: async (key, seconds) =>
      told(`link ${key}`, async ({ client }) => linkTo(client, nameOf(key), seconds, options)),
  };
}

interface S3 {
  readonly sdk: typeof S3Sdk;
  readonly client: S3Client;
}

async function connect(options: S3Options): Promise<S3> {
  const { region, endpoint, pathStyle, credentials, impatience = 1 } = options;
  const sdk = await import("@aws-sdk/client-s3");
  const client = new sdk.S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: credentials.secretAccessKey.reveal(),
          },
        }),
    forcePathStyle: pathStyle,
    logger: SILENT, // a failure is told by whoever asked; the SDK would print some on the console
    maxAttempts: 2, // whoever asked tries again by himself, from the beginning
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS / impatience },
  });
  return { sdk, client };
}

interface ObjectName {
  readonly Bucket: string;
  readonly Key: string;
}

async function putObject(
  s3: S3,
  object: ObjectName,
  body: Readable,
  info: PutInfo,
): Promise<Omit<StoredBlob, "location">> {
  const parts = new PartHashes(PART_BYTES);
  const { pieces, content } = measure(body, info, (piece) => {
    parts.add(piece);
  });
  const { expected, onWait } = info;
  // The end of the body is on its way when all of it is read.
  const stream = Readable.from(pieces).once("end", () => onWait?.(answerMs(PART_BYTES)));
  const params = {
    ...object,
    Body: stream,
    ContentType: info.contentType,
    Metadata: { ...info.metadata },
    ...(info.ifAbsent === true ? { IfNoneMatch: "*" } : {}),
    ...lockOf(info),
  };
  const result =
    expected !== undefined && expected.bytes <= SINGLE_BYTES_MAX
      ? await putWhole(s3, { ...params, ...announced(expected) }, info)
      : await putInParts(s3, params, info);
  const { ETag: etag, ChecksumSHA256: theirs } = result;
  const ours = parts.matches(theirs, content().sha256);
  if (ours === false)
    throw new StorageError("corrupt", `${object.Key}: the store's checksum is another one`);
  if (ours === undefined) await checkSize(s3, object, content().bytes, info);
  return { ...content(), etag, verifiedBy: ours === undefined ? "size" : "sha256" };
}

/**
 * What keeps an object from being deleted. A bucket with Object Lock has versions, and there a deletion never fails: it would
 * only hide the object behind a marker, and say that all is well.
 */
async function lockOn(
  s3: S3,
  object: ObjectName,
  { clock, locks }: S3Options,
  abortSignal: AbortSignal,
): Promise<string | undefined> {
  const command = new s3.sdk.HeadObjectCommand(object);
  const head = await s3.client.send(command, { abortSignal }).catch((error: unknown) => {
    if ([403, 404].includes(statusOf(error) ?? 0)) return undefined; // whoever may not look may still delete
    throw error;
  });
  if (head?.ObjectLockLegalHoldStatus === "ON") return "the object is under a legal hold";
  const until = head?.ObjectLockRetainUntilDate;
  if (until === undefined && locks === true) return unseenLock(s3, object, abortSignal);
  if (until === undefined || until <= clock.now()) return undefined;
  return `the object is locked until ${until.toISOString()} (${head?.ObjectLockMode ?? "Object Lock"})`;
}

/** HEAD leaves a lock out that may not be seen; whoever asks for the lock itself is refused then. */
async function unseenLock(
  { sdk, client }: S3,
  object: ObjectName,
  abortSignal: AbortSignal,
): Promise<string | undefined> {
  try {
    await client.send(new sdk.GetObjectRetentionCommand(object), { abortSignal });
  } catch (error) {
    const status = statusOf(error);
    if (status === 400 || status === 404) return undefined; // there is none
    if (status !== 403) throw error;
  }
  return "whether the object is locked may not be seen (s3:GetObjectRetention), and a deletion would only hide it";
}

/** Object Lock, which the bucket must have been made with. */
function lockOf({ lockedUntil }: PutInfo) {
  if (lockedUntil === undefined) return {};
  return { ObjectLockMode: "COMPLIANCE", ObjectLockRetainUntilDate: lockedUntil } as const;
}

/** Older servers work out no checksums; and what answers 200 to everything is no store. */
async function checkSize(
  { sdk, client }: S3,
  object: ObjectName,
  bytes: number,
  { signal }: PutInfo,
): Promise<void> {
  const head = await client.send(new sdk.HeadObjectCommand(object), { abortSignal: signal });
  if (head.ContentLength !== bytes || head.ETag === undefined)
    throw new StorageError("corrupt", `${object.Key}: the store has ${head.ContentLength} bytes`);
}

function announced({ bytes, sha256 }: NonNullable<PutInfo["expected"]>) {
  return { ContentLength: bytes, ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64") };
}

type PutParams = ConstructorParameters<typeof S3Sdk.PutObjectCommand>[0];

/** The store works out the checksum of what arrives, and refuses what does not have it. */
async function putWhole(
  { sdk, client }: S3,
  params: PutParams & { readonly Body: Readable },
  { signal }: PutInfo,
): Promise<PutObjectCommandOutput> {
  const broken = new AbortController();
  // The client would wait for the rest of a body that fails in the middle.
  params.Body.on("error", (error) => {
    broken.abort(error);
  });
  const abortSignal = AbortSignal.any([signal, broken.signal]);
  try {
    return await client.send(new sdk.PutObjectCommand(params), { abortSignal });
  } catch (error) {
    throw broken.signal.aborted ? broken.signal.reason : error;
  }
}

async function putInParts(
  { client }: S3,
  params: PutParams,
  { signal }: PutInfo,
): Promise<CompleteMultipartUploadCommandOutput> {
  const { Upload } = await import("@aws-sdk/lib-storage");
  const upload = new Upload({
    client,
    params: { ...params, ChecksumAlgorithm: "SHA256" },
    partSize: PART_BYTES,
    queueSize: PARTS_AT_ONCE,
  });
  const abort = () => void upload.abort();
  signal.addEventListener("abort", abort);
  try {
    return await upload.done();
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A missing object is another thing than a missing bucket. */
async function missing<T>(work: Promise<T>, key: string): Promise<T> {
  return work.catch((error: unknown) => {
    const { name } = error as { readonly name?: unknown };
    if (name === "NoSuchKey") throw new StorageError("missing", `there is no ${key}`);
    throw error;
  });
}

interface Listing {
  readonly bucket: string;
  readonly prefix: string;
  readonly under: string;
  readonly signal: AbortSignal;
  readonly told: Frame<S3>["told"];
}

async function* entries(listing: Listing): AsyncGenerator<BlobEntry> {
  const { bucket, prefix, under, signal, told } = listing;
  const strip = prefix === "" ? 0 : prefix.length + 1;
  for (let next: string | undefined; ;) {
    const page = await told(`list ${under}`, async ({ sdk, client }) => {
      const from = next === undefined ? {} : { ContinuationToken: next };
      const input = { Bucket: bucket, Prefix: prefix === "" ? under : `${prefix}/${under}` };
      return client.send(new sdk.ListObjectsV2Command({ ...input, ...from }), {
        abortSignal: signal,
      });
    });
    for (const { Key: key = "", Size: bytes = 0 } of page.Contents ?? [])
      yield { key: key.slice(strip), bytes };
    next = page.NextContinuationToken;
    if (next === undefined) return;
  }
}

async function linkTo(
  client: S3Client,
  key: string,
  seconds: number,
  { bucket, endpoint, pathStyle, clock }: S3Options,
): Promise<string> {
  const region = await client.config.region();
  const { origin, host, protocol } = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`);
  const path = key.split("/").map(encode).join("/");
  const url = pathStyle
    ? new URL(`${origin}/${bucket}/${path}`)
    : new URL(`${protocol}//${bucket}.${host}/${path}`);
  const credentials = await client.config.credentials();
  return presignGet(url, credentials, { region, seconds, at: clock.now() });
}
