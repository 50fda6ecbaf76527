import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { blobDestination } from "../../exporter/adapters/blob-destination.ts";
import type { Destination } from "../../exporter/types.ts";
import { StorageError, type BlobStore, type PutInfo } from "../../lib/storage.ts";
import {
  givenDropbox,
  givenGoogleDrive,
  givenGraph,
  type GivenDrive,
} from "../lib/storage/given-drive.ts";
import { artifactOf } from "./given-destination.ts";
import { tempFolder } from "./given.ts";

const CONTENT = Buffer.from("sealed");

let folder: Awaited<ReturnType<typeof tempFolder>>;
let given: readonly GivenDrive[];

beforeAll(async () => {
  folder = await tempFolder();
  given = await Promise.all([givenGoogleDrive(), givenDropbox(), givenGraph()]);
}, 60_000);
beforeEach(() => {
  for (const { drive } of given) drive.setFault({ kind: "none" });
});
afterAll(async () => {
  await folder.remove();
  for (const { stop } of given) await stop();
});

const destinationAt = (store: BlobStore, stallMs?: number): Destination =>
  blobDestination({ name: "drive", store, lockedUntil: () => undefined, stallMs });

test.each([0, 1, 2])(
  "drive %i: who wants a long rest is asked once in a run, who is down three times",
  async (n) => {
    const { store, drive } = given[n] as GivenDrive;
    const destination = destinationAt(store);
    const upload = async (name: string) =>
      destination.upload(await artifactOf(folder.path, name, CONTENT));
    await upload("warm");
    const asked = async (name: string) => {
      const before = drive.log.length;
      await expect(upload(name)).rejects.toThrow(/^drive: /);
      return drive.log.length - before;
    };

    const fault = { kind: "passing", status: 429, code: "later", times: 99 } as const;
    drive.setFault({ ...fault, retryAfterSeconds: 900 });
    const resting = await asked("rest");
    drive.setFault({ kind: "status", status: 503, code: "down" });
    const down = await asked("down");

    expect([resting, down]).toEqual([1, 3]);
  },
  60_000,
);

/** Reads everything at once, and answers after this time; it says so beforehand, or not. */
function slowStore(answerMs: number, isTold: boolean): BlobStore {
  const put = async (_key: string, body: AsyncIterable<Uint8Array>, info: PutInfo) => {
    await buffer(body);
    if (isTold) info.onWait?.(2 * answerMs);
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
  const artifact = await artifactOf(folder.path, "slow", CONTENT);

  const told = await destinationAt(slowStore(800, true), 100).upload(artifact);
  const silent = destinationAt(slowStore(20_000, false), 100).upload(artifact);

  expect(told.verifiedBy).toBe("server-hash(sha256)");
  await expect(silent).rejects.toThrow("given up");
});
