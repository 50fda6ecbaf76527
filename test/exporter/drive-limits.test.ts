import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { blobDestination } from "../../exporter/adapters/blob-destination.ts";
import type { Destination } from "../../exporter/types.ts";
import type { BlobStore } from "../../lib/storage.ts";
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

const destinationAt = (store: BlobStore): Destination =>
  blobDestination({ name: "drive", store, lockedUntil: () => undefined });

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
