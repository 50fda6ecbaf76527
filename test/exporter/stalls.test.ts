import { randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { blobDestination } from "../../exporter/adapters/blob-destination.ts";
import { openStore } from "../../lib/adapters/storage/open.ts";
import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/secret.ts";
import { StorageError, type BlobStore, type PutInfo } from "../../lib/storage.ts";
import { startS3 } from "../fakes/s3.ts";
import type { GivenStore } from "../lib/storage/given-kinds.ts";
import { CLOUDS } from "../lib/storage/given-store.ts";
import { artifactOf } from "./given-destination.ts";
import { tempFolder } from "./given.ts";

/** More than a chunk of each cloud. */
const LARGE = randomBytes(9 * 1024 * 1024);
/** What is given up after two minutes is given up after one second; the ten minutes of a chunk are five seconds. */
const IMPATIENCE = 120;

let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeAll(async () => {
  folder = await tempFolder();
});
afterAll(async () => folder.remove());

const destinationAt = (store: BlobStore, impatience: number) =>
  blobDestination({ name: "slow", store, lockedUntil: () => undefined, impatience });

const BUCKETS = ["S3", "Google Cloud Storage", "Azure Blob Storage"];

describe.each(CLOUDS.filter(([name]) => BUCKETS.includes(name)))("%s", (_name, start) => {
  let given: GivenStore;

  beforeAll(async () => {
    given = await start();
    // The SDK is loaded, and the connection is there.
    await destinationAt(given.store, 1).upload(await artifactOf(folder.path, "first", LARGE));
  }, 60_000);
  afterAll(async () => given.stop());

  test("a chunk that goes out slowly is waited for, and a store that hangs is not", async () => {
    const artifact = await artifactOf(folder.path, "audit.csv.gpg", LARGE);

    given.setFault?.({ kind: "slow", answerMs: 1_500 });
    const { receipt, ms } = await timed(destinationAt(given.store, IMPATIENCE).upload(artifact));
    given.setFault?.({ kind: "slow", answerMs: 600_000 });
    const hanging = destinationAt(given.store, 10 * IMPATIENCE).upload({ ...artifact, name: "x" });

    expect(receipt.verifiedBy).toBe(`server-hash(${given.verifies})`);
    expect(ms).toBeGreaterThan(1_500); // longer than without a byte read
    await expect(hanging).rejects.toThrow(/^slow: /);
  }, 60_000);
});

test("S3's own limit of silence is no shorter than what is allowed for the answer to the last part", async () => {
  const server = await startS3();
  const { accessKeyId, secretAccessKey } = server.key;
  const store = openStore({
    kind: "s3",
    bucket: server.bucket,
    prefix: "",
    region: "eu-central-1",
    endpoint: server.url,
    pathStyle: true,
    credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey) },
    clock: systemClock,
    impatience: IMPATIENCE,
  });
  server.setFault({ kind: "slow", answerMs: 1_500 }); // three minutes

  const artifact = await artifactOf(folder.path, "late.csv.gpg", LARGE);
  const uploading = destinationAt(store, IMPATIENCE).upload(artifact);
  const receipt = await uploading.finally(async () => server.stop());

  expect(receipt).toMatchObject({ verifiedBy: "server-hash(sha256)", adopted: false });
});

async function timed<T>(work: Promise<T>): Promise<{ receipt: T; ms: number }> {
  const start = performance.now();
  const receipt = await work;
  return { receipt, ms: performance.now() - start };
}

/** Reads everything at once, and answers after this time; it says so beforehand, or not. */
function slowStore(answerMs: number, isTold: boolean): BlobStore {
  const put = async (_key: string, body: AsyncIterable<Uint8Array>, info: PutInfo) => {
    await buffer(body);
    if (isTold) info.onWait?.(2 * answerMs * 10 * IMPATIENCE);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, answerMs);
      info.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(new StorageError("refused", "given up"));
      });
    });
    const { bytes = 0, sha256 = "" } = info.expected ?? {};
    return { bytes, sha256, location: "x", etag: undefined, verifiedBy: "sha256" as const };
  };
  return {
    name: "slow",
    put,
    head: async () => Promise.resolve(undefined),
  } as unknown as BlobStore;
}

test("a store that said how long its last bytes may take is waited for; one that is only silent is not", async () => {
  const artifact = await artifactOf(folder.path, "slow", Buffer.from("sealed"));

  const told = await destinationAt(slowStore(800, true), 10 * IMPATIENCE).upload(artifact);
  const silent = destinationAt(slowStore(20_000, false), 10 * IMPATIENCE).upload(artifact);

  expect(told.verifiedBy).toBe("server-hash(sha256)");
  await expect(silent).rejects.toThrow("given up");
});

test("what a store says when all is over keeps no process alive", async () => {
  let tell: PutInfo["onWait"];
  const store = slowStore(0, false);
  const put: BlobStore["put"] = async (key, body, info) => {
    tell = info.onWait;
    return store.put(key, body, info);
  };
  const artifact = await artifactOf(folder.path, "late", Buffer.from("sealed"));
  await destinationAt({ ...store, put }, 1).upload(artifact);
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();

  tell?.(600_000);

  expect(timers()).toBe(before);
});
