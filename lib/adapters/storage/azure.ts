import type * as AzureSdk from "@azure/storage-blob";
import type { BlobServiceClient, BlockBlobClient, ContainerClient } from "@azure/storage-blob";
import { createHash } from "node:crypto";
import { addAbortSignal, Readable } from "node:stream";
import {
  measure,
  StorageError,
  type AzureOptions,
  type BlobEntry,
  type BlobStore,
  type PutInfo,
  type StoredBlob,
} from "../../storage.ts";
import { frameOf, partsOf, type Frame } from "./frame.ts";
import { answerMs } from "./pace.ts";
import { statusOf } from "./vendor-error.ts";

/** A block in memory at a time; 50,000 blocks at most make 400 GB. */
const BLOCK_BYTES = 8 * 1024 * 1024;
const TRY_MS = 30_000;

/** A container of Azure Blob Storage. The SDK (300 ms, 40 MB) is loaded when it is first needed. */
export function openAzureStore(options: AzureOptions): BlobStore {
  const { container, prefix } = options;
  const { name, nameOf, told } = frameOf({
    scheme: "azure",
    place: container,
    prefix,
    connect: async () => connect(options),
  });
  return {
    name,
    put: async (key, body, info) =>
      told(`put ${key}`, async ({ client }) => {
        const blob = client.getBlockBlobClient(nameOf(key));
        const stored = await putBlocks(blob, body, info);
        return { location: `azure://${container}/${blob.name}`, ...stored };
      }),
    get: async (key, abortSignal) =>
      told(`read ${key}`, async ({ client }) => {
        const blob = client.getBlockBlobClient(nameOf(key));
        const { readableStreamBody: body } = await missing(
          blob.download(0, undefined, { abortSignal }),
          key,
        );
        if (!(body instanceof Readable)) throw new StorageError("unavailable", "no content came");
        return addAbortSignal(abortSignal, body);
      }),
    head: async (key, abortSignal) =>
      told(`look at ${key}`, async ({ client }) => {
        try {
          const blob = client.getBlockBlobClient(nameOf(key));
          const head = await blob.getProperties({ abortSignal });
          const { contentLength: bytes = 0, etag, metadata = {} } = head;
          return { bytes, etag, metadata, lockedUntil: head.immutabilityPolicyExpiresOn };
        } catch (error) {
          if (statusOf(error) === 404) return undefined;
          throw error;
        }
      }),
    list: (under, signal) => entries({ prefix, under, told, signal }),
    delete: async (key, abortSignal) =>
      told(`delete ${key}`, async ({ client }) => {
        await client.getBlockBlobClient(nameOf(key)).deleteIfExists({ abortSignal });
      }),
    link: async (key, seconds) =>
      told(`link ${key}`, async (azure) => linkTo(azure, nameOf(key), seconds, options)),
  };
}

interface Azure {
  readonly sdk: typeof AzureSdk;
  readonly service: BlobServiceClient;
  readonly client: ContainerClient;
}

async function connect({ container, connectionString, accountUrl }: AzureOptions): Promise<Azure> {
  const sdk = await import("@azure/storage-blob");
  // Whoever asked tries again by himself, from the beginning.
  const options = { retryOptions: { maxTries: 2, tryTimeoutInMs: TRY_MS, retryDelayInMs: 200 } };
  let service;
  if (connectionString !== undefined) {
    service = sdk.BlobServiceClient.fromConnectionString(connectionString.reveal(), options);
  } else {
    if (accountUrl === undefined) throw new StorageError("refused", "no account is configured");
    const { DefaultAzureCredential } = await import("@azure/identity");
    service = new sdk.BlobServiceClient(accountUrl, new DefaultAzureCredential(), options);
  }
  return { sdk, service, client: service.getContainerClient(container) };
}

/**
 * Azure keeps the MD5 of a whole blob as it is told and never compares it; that of one block it works out itself, and refuses
 * another one. So each block goes with its own.
 */
async function putBlocks(
  blob: BlockBlobClient,
  body: Readable,
  info: PutInfo,
): Promise<Omit<StoredBlob, "location">> {
  const { signal: abortSignal, contentType, metadata, ifAbsent, lockedUntil, onWait } = info;
  const whole = createHash("md5");
  const { pieces, content } = measure(body, info, (piece) => {
    whole.update(piece);
  });
  const ids: string[] = [];
  for await (const block of partsOf(pieces, BLOCK_BYTES)) {
    const id = Buffer.from(String(ids.length).padStart(6, "0")).toString("base64");
    const transactionalContentMD5 = createHash("md5").update(block).digest();
    onWait?.(answerMs(block.length));
    await blob.stageBlock(id, block, block.length, { abortSignal, transactionalContentMD5 });
    ids.push(id);
  }
  const { etag } = await blob.commitBlockList(ids, {
    abortSignal,
    blobHTTPHeaders: { blobContentType: contentType, blobContentMD5: whole.digest() },
    metadata: { ...metadata },
    ...(ifAbsent === true ? { conditions: { ifNoneMatch: "*" } } : {}),
    // The container must have been made with immutability of versions.
    ...(lockedUntil === undefined
      ? {}
      : { immutabilityPolicy: { expiriesOn: lockedUntil, policyMode: "Locked" } }),
  });
  if (etag === undefined) throw new StorageError("unavailable", "that is no answer of Azure's");
  if (lockedUntil !== undefined) await requireLock(blob, abortSignal);
  return { ...content(), etag, verifiedBy: "md5" };
}

/** Whoever does not know locks takes the blob and leaves the lock out (the emulator does): then there is to be no blob. */
async function requireLock(blob: BlockBlobClient, abortSignal: AbortSignal): Promise<void> {
  const { immutabilityPolicyExpiresOn } = await blob.getProperties({ abortSignal });
  if (immutabilityPolicyExpiresOn !== undefined) return;
  await blob.deleteIfExists({ abortSignal });
  throw new StorageError("refused", "the account took the blob without its immutability policy");
}

/** A missing object is another thing than a missing container. */
async function missing<T>(work: Promise<T>, key: string): Promise<T> {
  return work.catch((error: unknown) => {
    const { code } = error as { readonly code?: unknown };
    if (code === "BlobNotFound") throw new StorageError("missing", `there is no ${key}`);
    throw error;
  });
}

interface Listing {
  readonly prefix: string;
  readonly under: string;
  readonly signal: AbortSignal;
  readonly told: Frame<Azure>["told"];
}

async function* entries({ prefix, under, signal, told }: Listing): AsyncGenerator<BlobEntry> {
  const strip = prefix === "" ? 0 : prefix.length + 1;
  const start = prefix === "" ? under : `${prefix}/${under}`;
  for (let next: string | undefined; ;) {
    const [page] = await told(`list ${under}`, async ({ client }) => {
      const from = next === undefined ? {} : { continuationToken: next };
      const pages = client.listBlobsFlat({ prefix: start, abortSignal: signal }).byPage(from);
      for await (const { segment, continuationToken } of pages)
        return [{ segment, continuationToken }];
      return [];
    });
    for (const { name, properties } of page?.segment.blobItems ?? [])
      yield { key: name.slice(strip), bytes: properties.contentLength ?? 0 };
    next = page?.continuationToken;
    if (next === undefined || next === "") return;
  }
}

/** Signed with the account's key, or with one that the identity asks for. */
async function linkTo(
  { sdk, service, client }: Azure,
  key: string,
  seconds: number,
  { container, connectionString, clock }: AzureOptions,
): Promise<string> {
  const startsOn = clock.now();
  const expiresOn = new Date(startsOn.getTime() + seconds * 1000);
  const permissions = sdk.BlobSASPermissions.parse("r");
  const blob = client.getBlockBlobClient(key);
  if (connectionString !== undefined) return blob.generateSasUrl({ permissions, expiresOn });
  const delegated = await service.getUserDelegationKey(startsOn, expiresOn);
  const values = { containerName: container, blobName: key, permissions, startsOn, expiresOn };
  const query = sdk.generateBlobSASQueryParameters(values, delegated, service.accountName);
  return `${blob.url}?${query.toString()}`;
}
