import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { blobDestination } from "../../exporter/adapters/blob-destination.ts";
import { DestinationError } from "../../exporter/destination-error.ts";
import type { BlobStore } from "../../lib/storage.ts";
import { tempFolder } from "./given.ts";
import {
  artifactOf,
  DESTINATIONS,
  downloaded,
  type GivenDestination,
} from "./given-destination.ts";

const CONTENT = randomBytes(700_000);

let folder: Awaited<ReturnType<typeof tempFolder>>;
let given: GivenDestination;
let number = 0;
/** A name of its own for each test. */
const nextName = () => `audit-20260101.${++number}.csv.gpg.envelope.json`;
const inFolder = async (name: string, content = CONTENT, known: readonly string[] = []) =>
  artifactOf(join(folder.path, "work"), name, content, known);

beforeAll(async () => {
  folder = await tempFolder();
});
afterAll(async () => folder.remove());

function reset(): void {
  beforeEach(async () => {
    await given.proxy?.setMode({ kind: "pass" });
    given.setFault?.({ kind: "none" });
  });
  afterAll(async () => given.stop());
}

async function failureOf(work: Promise<unknown>): Promise<DestinationError> {
  const error: unknown = await work.then(
    () => "it went well",
    (reason: unknown) => reason,
  );
  if (!(error instanceof DestinationError)) throw new Error(`not our error: ${String(error)}`);
  return error;
}

describe.each(DESTINATIONS)("%s", (_name, start) => {
  beforeAll(async () => {
    given = await start();
  }, 60_000);
  reset();

  test("takes a file, says how it knows, gives it back, and forgets it", async () => {
    const { destination, verifies } = given;
    const name = nextName();
    const file = await inFolder(name);

    expect(await destination.has(name)).toBe(false);
    const receipt = await destination.upload(file);

    expect(receipt).toMatchObject({
      destination: destination.name,
      name,
      bytes: CONTENT.length,
      sha256: file.sha256,
      verifiedBy: verifies,
      adopted: false,
    });
    expect(receipt.location).toContain(name);
    expect(await destination.has(name)).toBe(true);
    expect((await downloaded(destination, name, folder.path)).equals(CONTENT)).toBe(true);
    await destination.remove(name);
    await destination.remove(name);
    expect(await destination.has(name)).toBe(false);
  });

  test("lists what begins alike, and nothing where nothing is", async () => {
    const { destination } = given;
    await destination.upload(await inFolder("backup-1.a", randomBytes(10)));
    await destination.upload(await inFolder("backup-1.b", randomBytes(10)));

    expect((await destination.list("backup-1.")).toSorted()).toEqual(["backup-1.a", "backup-1.b"]);
    expect(await destination.list("nobody-")).toEqual([]);
    for (const name of ["backup-1.a", "backup-1.b"]) await destination.remove(name);
    expect(await destination.list("backup-")).toEqual([]);
  });

  test("an empty file is a file", async () => {
    const name = nextName();

    const receipt = await given.destination.upload(await inFolder(name, Buffer.alloc(0)));

    expect(receipt).toMatchObject({ bytes: 0, verifiedBy: given.verifies });
    expect(await downloaded(given.destination, name, folder.path)).toHaveLength(0);
  });

  test("takes what an earlier attempt left for its own, by its bytes", async () => {
    const { destination } = given;
    const name = nextName();
    const earlier = await inFolder(name, randomBytes(1_000));
    await destination.upload(earlier);
    const again = await inFolder(name, CONTENT, [earlier.sha256]);

    expect(await destination.upload(again)).toMatchObject({
      adopted: true,
      sha256: earlier.sha256,
      verifiedBy: "read-back-sha256",
    });
  });

  test("leaves a foreign file alone", async () => {
    const { destination } = given;
    const name = nextName();
    const foreign = randomBytes(1_000);
    await destination.upload(await inFolder(name, foreign));

    const failure = await failureOf(destination.upload(await inFolder(name)));

    expect(failure.message).toMatch(/exists already with other content/);
    expect((await downloaded(destination, name, folder.path)).equals(foreign)).toBe(true);
  });

  test("what is not there cannot be fetched, and leaves no file behind", async () => {
    const place = join(folder.path, nextName());

    const failure = await failureOf(given.destination.download("audit-x.csv", place));

    expect(failure.message).toContain(given.destination.name);
    expect(await readdir(folder.path)).not.toContain(place);
  });
});

describe.each(DESTINATIONS.filter(([name]) => name !== "a folder"))("%s", (_name, start) => {
  beforeAll(async () => {
    given = await start();
  }, 60_000);
  reset();

  test("one that is down fails the upload, and gets the file when it is back", async () => {
    const { destination, proxy } = given;
    const file = await inFolder(nextName());
    await proxy?.setMode({ kind: "refuse" });

    await failureOf(destination.upload(file));
    await proxy?.setMode({ kind: "pass" });

    expect(await destination.has(file.name)).toBe(false);
    expect(await destination.upload(file)).toMatchObject({ adopted: false });
  }, 60_000);

  test("one that says nothing is left when the export is stopped", async () => {
    const { destination, proxy } = given;
    const file = await inFolder(nextName());
    await proxy?.setMode({ kind: "blackhole" });
    const stopping = AbortSignal.timeout(500);

    await expect(destination.upload(file, stopping)).rejects.toThrow();
    await proxy?.setMode({ kind: "pass" });

    expect(await destination.has(file.name)).toBe(false);
  }, 60_000);

  test("a slow one gets the whole file", async () => {
    const { destination, proxy } = given;
    const file = await inFolder(nextName());
    await proxy?.setMode({ kind: "delay", milliseconds: 20 });

    expect(await destination.upload(file)).toMatchObject({ verifiedBy: given.verifies });
  }, 60_000);

  test("a connection that breaks in the middle of a download gives no file", async () => {
    const { destination, proxy } = given;
    const file = await inFolder(nextName());
    await destination.upload(file);
    await proxy?.setMode({ kind: "cutAfter", bytes: 100_000 });
    const path = join(folder.path, `cut-${file.name}`);

    await failureOf(destination.download(file.name, path));

    expect((await readdir(folder.path)).filter((name) => name.includes("cut-"))).toEqual([]);
  }, 60_000);
});

/** Services; what a folder and an SFTP server do wrong stands in tests of their own. */
const SERVICES = DESTINATIONS.filter(([name]) => !["a folder", "SFTP"].includes(name));

describe.each(SERVICES)("%s", (_name, start) => {
  beforeAll(async () => {
    given = await start();
  }, 60_000);
  reset();

  test("bytes that change on their way are noticed, and are not what is kept", async () => {
    const { destination, setFault } = given;
    const file = await inFolder(nextName());
    setFault?.({ kind: "corrupt" });

    const failure = await failureOf(destination.upload(file));
    setFault?.({ kind: "none" });

    expect(failure.message).toMatch(
      /digest|checksum|crc32c|md5|hash|CONTENT_|FILE_NO_UPLOAD|other content/i,
    );
    expect(await destination.has(file.name)).toBe(false);
  }, 60_000);

  test.each([
    ["full", 403, "QuotaExceeded"],
    ["ill", 500, "InternalError"],
    ["talking nonsense", 302, "Found"],
  ])(
    "one that is %s fails by its own words",
    async (_how, status, code) => {
      const { destination, setFault } = given;
      const file = await inFolder(nextName());
      setFault?.({ kind: "status", status, code });

      const failure = await failureOf(destination.upload(file));

      expect(failure.message).toMatch(new RegExp(`${status}|${code}`));
    },
    60_000,
  );

  test("an error in passing is got over", async () => {
    const { destination, setFault } = given;
    const file = await inFolder(nextName());
    setFault?.({ kind: "status", status: 503, code: "SlowDown" });
    setTimeout(() => {
      setFault?.({ kind: "none" });
    }, 250);

    expect(await destination.upload(file)).toMatchObject({ verifiedBy: given.verifies });
  }, 60_000);
});

test("a store that knows no checksums is read back, and found out when it has other bytes", async () => {
  const file = await inFolder(nextName());
  const answers: Buffer[] = [CONTENT, randomBytes(CONTENT.length)];
  const store = {
    name: "s3://old",
    head: async () => Promise.resolve(undefined),
    put: async (key: string, body: AsyncIterable<Buffer>) => {
      for await (const piece of body) expect(piece.length).toBeGreaterThan(0);
      const { bytes, sha256 } = file;
      const location = `s3://old/${key}`;
      return { location, bytes, sha256, etag: undefined, verifiedBy: "size" as const };
    },
    get: async () => {
      const { Readable } = await import("node:stream");
      return Readable.from([answers.shift() ?? Buffer.alloc(0)]);
    },
  } as unknown as BlobStore;
  const destination = blobDestination({ name: "s3", store, lockedUntil: () => undefined });

  expect(await destination.upload(file)).toMatchObject({ verifiedBy: "read-back-sha256" });
  const failure = await failureOf(destination.upload(file));

  expect(failure.message).toBe(
    `s3: s3://old/${file.name} reads back as other bytes than were sent`,
  );
});
