import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ExponentialBackoff, handleWhen, retry } from "cockatiel";
import { messageOf } from "../../lib/error.ts";
import { createMeter } from "../../lib/meter.ts";
import { StorageError, type BlobStore, type StoredBlob } from "../../lib/storage.ts";
import { DestinationError, nameTaken } from "../destination-error.ts";
import { writeWhole } from "../safe-file.ts";
import type { Parcel, Destination, Receipt, Verification } from "../types.ts";

export interface BlobDestinationOptions {
  /** As in receipts: "s3", "gcs", "azure". */
  readonly name: string;
  readonly store: BlobStore;
  /** When an object that is uploaded now may be deleted; undefined: at any time. */
  readonly lockedUntil: () => Date | undefined;
  /** The variable that asks for the lock, for messages. */
  readonly lockSetting?: string;
  /** For tests: what stands still is given up so many times sooner. */
  readonly impatience?: number | undefined;
}

const READ_CHUNK_BYTES = 256 * 1024;
/** For questions without content. */
const ANSWER_MS = 60_000;
/** So long without a byte, in either direction, is a store that hangs, unless it said that it may take longer. */
const STALL_MS = 120_000;
/** Stores answer 503 in passing. Whatever lasts longer is for the next run. */
const AGAIN = { maxAttempts: 2, backoff: new ExponentialBackoff({ initialDelay: 300 }) };

/** A bucket of a cloud. Objects are created only under free names; what each store checks by itself stands in the receipt. */
export function blobDestination(options: BlobDestinationOptions): Destination {
  const { name: destination, store } = options;
  const told = async <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    try {
      return await retry(handleWhen(isPassing), AGAIN).execute(work, signal);
    } catch (cause) {
      if (cause instanceof DestinationError || signal?.aborted === true) throw cause;
      throw new DestinationError(destination, messageOf(cause), { cause });
    }
  };
  return {
    name: destination,
    has: async (name, signal) =>
      told(signal, async () => (await store.head(name, within(signal))) !== undefined),
    download: async (name, path, signal) =>
      told(signal, async () =>
        writeWhole(path, String(process.pid), async (sink) =>
          withPieces(store, name, signal, async (pieces) => pipeline(pieces, sink)),
        ),
      ),
    list: async (prefix, signal) =>
      told(signal, async () => {
        const names: string[] = [];
        for await (const { key } of store.list(prefix, within(signal))) names.push(key);
        return names;
      }),
    remove: async (name, signal) => told(signal, async () => store.delete(name, within(signal))),
    upload: async (parcel, signal) =>
      told(signal, async () => {
        const held = await store.head(parcel.name, within(signal));
        const stored = held === undefined ? await create(parcel, signal, options) : undefined;
        return stored === undefined
          ? adopt(parcel, signal, options)
          : checked(parcel, stored, signal, options);
      }),
  };
}

function isPassing(error: unknown): boolean {
  return error instanceof StorageError && error.retryable && !error.later;
}

function within(signal: AbortSignal | undefined): AbortSignal {
  return AbortSignal.any([
    ...(signal === undefined ? [] : [signal]),
    AbortSignal.timeout(ANSWER_MS),
  ]);
}

/** Undefined when the name was taken in the meantime. */
async function create(
  parcel: Parcel,
  signal: AbortSignal | undefined,
  { store, lockedUntil, lockSetting, impatience }: BlobDestinationOptions,
): Promise<StoredBlob | undefined> {
  const watch = watchFor(signal, impatience);
  const until = lockedUntil();
  const file = createReadStream(parcel.path, { highWaterMark: READ_CHUNK_BYTES });
  try {
    return await store.put(parcel.name, Readable.from(watch.pieces(file)), {
      contentType: "application/octet-stream",
      signal: watch.signal,
      onWait: watch.wait,
      ifAbsent: true,
      expected: { bytes: parcel.bytes, sha256: parcel.sha256 },
      metadata: { exportid: parcel.exportId, sha256: parcel.sha256 },
      lockedUntil: until,
    });
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    if (error.kind === "exists") return undefined;
    const words = error.message.split(parcel.name).at(-1) ?? "";
    if (error.kind === "refused" && until !== undefined && isAboutLocks(words))
      throw lockRefused(error, lockSetting);
    throw error;
  } finally {
    watch.stop();
    file.destroy();
  }
}

/** Other refusals (a policy, a full store, a key service) must talk nobody into giving up the lock. */
function isAboutLocks(words: string): boolean {
  return /lock|retention|retain|immutab|\b501\b/i.test(words);
}

/** A store that cannot lock, or a bucket that was not made for it, says so in words of its own. */
function lockRefused({ message }: StorageError, setting = "the configuration"): StorageError {
  const advice = `${setting} asks for a lock: the bucket must have been made with locks (versions), or the setting must go`;
  return new StorageError("refused", `${message} (${advice})`);
}

/** A store that knows no checksums is asked for all of the bytes. */
async function checked(
  parcel: Parcel,
  { location, verifiedBy, sha256 }: StoredBlob,
  signal: AbortSignal | undefined,
  options: BlobDestinationOptions,
): Promise<Receipt> {
  const { name: destination, store } = options;
  const common = { location, adopted: false };
  if (verifiedBy !== "size")
    return receipt(parcel, options, {
      ...common,
      sha256,
      verifiedBy: `server-hash(${verifiedBy})`,
    });
  const read = await readBack(store, parcel.name, signal);
  if (read !== parcel.sha256)
    throw new DestinationError(destination, `${location} reads back as other bytes than were sent`);
  return receipt(parcel, options, { ...common, sha256: read, verifiedBy: "read-back-sha256" });
}

/** What an earlier attempt left is taken for ours only by its bytes, and with the lock that is asked for now. */
async function adopt(
  parcel: Parcel,
  signal: AbortSignal | undefined,
  options: BlobDestinationOptions,
): Promise<Receipt> {
  const { name: destination, store } = options;
  const location = `${store.name}/${parcel.name}`;
  const sha256 = await readBack(store, parcel.name, signal);
  if (!parcel.knownSha256.has(sha256)) throw nameTaken(destination, location);
  if (options.lockedUntil() !== undefined) await requireLock(parcel.name, signal, options);
  return receipt(parcel, options, {
    location,
    sha256,
    verifiedBy: "read-back-sha256",
    adopted: true,
  });
}

async function requireLock(
  name: string,
  signal: AbortSignal | undefined,
  { name: destination, store, lockSetting = "the configuration" }: BlobDestinationOptions,
): Promise<void> {
  const head = await store.head(name, within(signal));
  if (head?.lockedUntil !== undefined) return;
  throw new DestinationError(
    destination,
    `${store.name}/${name} exists already without (as far as may be seen) the lock of ${lockSetting}; lock it or move it away, and the next run goes on`,
  );
}

function receipt(
  { name, bytes }: Parcel,
  { name: destination }: BlobDestinationOptions,
  seen: {
    readonly location: string;
    readonly sha256: string;
    readonly verifiedBy: Verification;
    readonly adopted: boolean;
  },
): Receipt {
  return { destination, name, bytes, ...seen };
}

async function readBack(
  store: BlobStore,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const meter = createMeter();
  meter.stream.resume();
  await withPieces(store, name, signal, async (pieces) => pipeline(pieces, meter.stream));
  return meter.sha256();
}

async function withPieces(
  store: BlobStore,
  name: string,
  signal: AbortSignal | undefined,
  work: (pieces: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const watch = watchFor(signal);
  try {
    await work(watch.pieces(await store.get(name, watch.signal)));
  } finally {
    watch.stop();
  }
}

/** A signal that ends what stands still; each piece begins the wait anew. */
function watchFor(signal: AbortSignal | undefined, impatience = 1) {
  const stalled = new AbortController();
  const limit: { atMs: number; timer?: NodeJS.Timeout } = { atMs: 0 };
  // Never earlier: pieces are read ahead while a chunk goes out. And no more when it is over: a timer keeps the process alive.
  const wait = (usualMs: number): void => {
    const ms = usualMs / impatience;
    const atMs = performance.now() + ms;
    if (atMs <= limit.atMs) return;
    limit.atMs = atMs;
    clearTimeout(limit.timer);
    limit.timer = setTimeout(() => {
      stalled.abort(new Error(`no byte in ${Math.round(ms / 1000)} s`));
    }, ms);
  };
  wait(STALL_MS);
  return {
    signal: AbortSignal.any([...(signal === undefined ? [] : [signal]), stalled.signal]),
    wait,
    stop: () => {
      clearTimeout(limit.timer);
      limit.atMs = Infinity;
    },
    pieces: async function* (source: Readable): AsyncGenerator<Uint8Array> {
      for await (const piece of source as AsyncIterable<Uint8Array>) {
        wait(STALL_MS);
        yield piece;
      }
    },
  };
}
