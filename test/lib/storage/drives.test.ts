import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { openStore } from "../../../lib/adapters/storage/open.ts";
import { systemClock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/secret.ts";
import { StorageError, type BlobStore, type PutInfo } from "../../../lib/storage.ts";
import type { FakeDrive } from "../../fakes/cloud-server.ts";
import { startDropbox } from "../../fakes/dropbox.ts";
import { startGoogleDrive, type FakeGoogleDrive } from "../../fakes/google-drive.ts";
import { givenDropbox, givenGoogleDrive, givenGraph, type GivenDrive } from "./given-drive.ts";

/** Three chunks of each service. */
const CONTENT = randomBytes(17 * 1024 * 1024 + 11);
const SMALL = Buffer.from("sealed");

const patient = () => AbortSignal.timeout(60_000);

async function put(store: BlobStore, key: string, content = CONTENT, more: Partial<PutInfo> = {}) {
  const expected = {
    bytes: content.length,
    sha256: createHash("sha256").update(content).digest("hex"),
  };
  const info = { contentType: "application/octet-stream", signal: patient(), ifAbsent: true };
  return store.put(key, Readable.from([content]), { ...info, expected, ...more });
}

async function failureOf(work: Promise<unknown>): Promise<StorageError> {
  const error: unknown = await work.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StorageError)) throw new Error("not a StorageError", { cause: error });
  return error;
}

/** Requests that carried content, since `from`. */
function chunks(drive: FakeDrive, from: number) {
  return drive.log.slice(from).filter(({ bytes }) => bytes > 100_000);
}

const DRIVES = [
  ["Google Drive", givenGoogleDrive, [403, "storageQuotaExceeded"]],
  ["Dropbox", givenDropbox, [409, "path/insufficient_space"]],
  ["Microsoft Graph", givenGraph, [507, "quotaLimitReached"]],
] as const;

describe.each(DRIVES)("%s", (name, start, [fullStatus, fullCode]) => {
  let given: GivenDrive;
  let store: BlobStore;
  let drive: FakeDrive;
  let before = 0;

  beforeAll(async () => {
    given = await start();
    ({ store, drive } = given);
  }, 60_000);
  beforeEach(() => {
    drive.setFault({ kind: "none" });
    before = drive.log.length;
  });
  afterAll(async () => given.stop());

  async function expectStored(key: string): Promise<void> {
    const back = await buffer(await store.get(key, patient()));
    expect(back.equals(CONTENT)).toBe(true);
    expect(given.leftovers?.()).toBe(0);
  }

  test("a connection that is cut in the middle of a chunk is gone on with where the service stands", async () => {
    drive.setFault({ kind: "cut", afterBytes: 1_000_000 });

    expect(await put(store, "cut/x")).toMatchObject({ verifiedBy: given.verifies });

    const sent = chunks(drive, before).filter(({ status }) => status !== 0);
    const bytes = sent.reduce((sum, chunk) => sum + chunk.bytes, 0);
    // Google keeps what arrived in whole granules, the others nothing of a chunk that is cut.
    expect(CONTENT.length - bytes).toBe(name === "Google Drive" ? 3 * 256 * 1024 : 0);
    await expectStored("cut/x");
  }, 60_000);

  test("a chunk whose answer is lost is not sent again", async () => {
    drive.setFault({ kind: "unanswered" });

    await put(store, "unanswered/x");

    const bytes = chunks(drive, before).reduce((sum, chunk) => sum + chunk.bytes, 0);
    expect(bytes).toBe(CONTENT.length);
    await expectStored("unanswered/x");
  }, 60_000);

  test("before each chunk it is told how long nothing may be heard, and that is by its size", async () => {
    const waits: number[] = [];

    await put(store, "waits/x", CONTENT, { onWait: (ms) => waits.push(ms) });

    expect(waits).toHaveLength(3);
    // At 128 kbit/s; the last chunk is small.
    const [first = 0, second = 0, last = 0] = waits;
    expect(Math.min(first, second)).toBeGreaterThan((7.8 * 1024 * 1024 * 8) / 128);
    expect(last).toBeLessThan(first);
  }, 60_000);

  test("a token that is over in the middle of an upload is renewed, and the upload goes on", async () => {
    const tokens = drive.tokensGiven();
    const pieces = Readable.from(
      (function* () {
        yield CONTENT.subarray(0, 9_000_000);
        drive.expireTokens();
        yield CONTENT.subarray(9_000_000);
      })(),
    );
    const info = { contentType: "application/octet-stream", signal: patient(), ifAbsent: true };

    await store.put("expired/x", pieces, info);

    expect(drive.tokensGiven()).toBe(tokens + 1);
    await expectStored("expired/x");
  }, 60_000);

  test("who asks to be left alone is left alone for so long, in the middle of an upload too", async () => {
    await put(store, "warm/x", SMALL);
    const fault = { kind: "passing", code: "slow_down", retryAfterSeconds: 1 } as const;
    for (const status of [429, 503]) {
      const from = drive.log.length;
      drive.setFault({ ...fault, status, times: 1 });
      await put(store, `patience/${status}`, SMALL);
      const refused = drive.log.findIndex((each, at) => at >= from && each.status === status);
      const [asked, again] = drive.log.slice(refused, refused + 2);
      expect((again?.atMs ?? 0) - (asked?.atMs ?? 0)).toBeGreaterThanOrEqual(990);
    }
  }, 60_000);

  test("who asks for too long a rest, or never stops failing, is left to the next run", async () => {
    drive.setFault({
      kind: "passing",
      status: 429,
      code: "later",
      retryAfterSeconds: 900,
      times: 9,
    });
    const long = await failureOf(put(store, "rest/x", SMALL));
    const asked = drive.log.length - before;
    drive.setFault({ kind: "status", status: 503, code: "down" });
    const down = await failureOf(put(store, "rest/y", SMALL));

    expect([long.kind, asked]).toEqual(["unavailable", 1]);
    expect(down.kind).toBe("unavailable");
    expect(drive.log.length - before - asked).toBe(3);
  });

  test("a full drive says so, and is not asked again", async () => {
    drive.setFault({ kind: "status", status: fullStatus, code: fullCode });

    const failure = await failureOf(put(store, "full/x", SMALL));

    expect(failure).toMatchObject({ kind: "refused", retryable: false });
    expect(failure.message).toContain(fullCode);
    expect(drive.log.length - before).toBe(1);
  });

  test("a hash that is not ours: the file does not stay", async () => {
    drive.setFault({ kind: "corrupt" });

    const failure = await failureOf(put(store, "corrupt/x"));
    drive.setFault({ kind: "none" });

    expect(failure.kind).toBe("corrupt");
    expect(await store.head("corrupt/x", patient())).toBeUndefined();
  }, 60_000);

  test("no hash is no proof: the receipt says size", async () => {
    drive.setFault({ kind: "hashless" });

    expect(await put(store, "hashless/x", SMALL)).toMatchObject({ verifiedBy: "size" });
  });

  test("what is there is found before any content is sent, and stays", async () => {
    await put(store, "there/x", SMALL);
    const from = drive.log.length;

    const failure = await failureOf(put(store, "there/x"));

    expect(failure.kind).toBe("exists");
    // Dropbox has no other way to ask in one breath; the exporter looks before.
    const sentBytes = chunks(drive, from).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(sentBytes).toBe(name === "Dropbox" ? CONTENT.length : 0);
    expect((await buffer(await store.get("there/x", patient()))).equals(SMALL)).toBe(true);
  }, 60_000);

  test("nobody can be promised that a file stays", async () => {
    const lockedUntil = new Date("2030-01-01T00:00:00Z");

    const failure = await failureOf(put(store, "locked/x", SMALL, { lockedUntil }));

    expect(failure).toMatchObject({ kind: "refused", message: expect.stringContaining("lock") });
    expect(drive.log.length).toBe(before);
  });

  test("no token, secret or upload address is in a message, whatever the service repeats", async () => {
    await put(store, "secret/x", SMALL);
    drive.setFault({ kind: "none" });
    const stranger = given.stranger as BlobStore;
    const messages = [(await failureOf(put(stranger, "x", SMALL))).message];
    // Refuses every token from now on, and repeats it.
    const refuse = setInterval(drive.expireTokens, 0);
    for (let tries = 0; tries < 3; tries++) {
      drive.expireTokens();
      const told = await store.head("secret/x", patient()).then(
        () => "",
        (error: unknown) => (error as Error).message,
      );
      messages.push(told);
    }
    clearInterval(refuse);
    await given.proxy.setMode({ kind: "reset" });
    messages.push((await failureOf(put(store, "reset/x", SMALL))).message);
    await given.proxy.setMode({ kind: "pass" });

    expect(messages.join("\n")).not.toMatch(
      /at-[0-9a-f]{8}|of-somebody-else|tempauth|upload_id|PRIVATE KEY|Bearer \S*\d/,
    );
    expect(messages.join("\n")).not.toContain(given.credential);
  }, 60_000);
});

describe("Google Drive alone", () => {
  let drive: FakeGoogleDrive;
  let store: BlobStore;

  beforeAll(async () => {
    drive = await startGoogleDrive();
    store = openStore({
      kind: "gdrive",
      folderId: drive.folderId,
      credentials: {
        kind: "refresh",
        clientId: drive.person.clientId,
        clientSecret: new Secret(drive.person.clientSecret),
        refreshToken: new Secret(drive.person.refreshToken),
      },
      subject: undefined,
      endpoint: drive.url,
      clock: systemClock,
    });
  });
  afterAll(async () => drive.stop());

  test("a file that somebody else put there under the name is neither replaced nor deleted", async () => {
    drive.putForeign("foreign.csv", Buffer.from("somebody's"));

    const create = await failureOf(put(store, "foreign.csv", SMALL));
    const remove = await failureOf(store.delete("foreign.csv", patient()));

    expect([create.kind, remove.kind]).toEqual(["exists", "refused"]);
    expect(drive.files().get("foreign.csv")?.toString()).toBe("somebody's");
  });

  test("of two files of one name ours is deleted, and not that of somebody else", async () => {
    await put(store, "twice.csv", SMALL);
    drive.putForeign("twice.csv", Buffer.from("somebody's"));

    await store.delete("twice.csv", patient());

    expect(drive.files().get("twice.csv")?.toString()).toBe("somebody's");
    const again = await failureOf(store.delete("twice.csv", patient()));
    expect(again.kind).toBe("refused");
  });

  test("of two that create a name at once the older file stays, and ours goes", async () => {
    const body = Readable.from(
      (function* () {
        drive.putForeign("race.csv", Buffer.from("somebody's"));
        yield SMALL;
      })(),
    );
    const info = { contentType: "text/csv", signal: patient(), ifAbsent: true };

    const failure = await failureOf(store.put("race.csv", body, info));

    expect(failure.kind).toBe("exists");
    expect(drive.files().get("race.csv")?.toString()).toBe("somebody's");
  });

  test("who may not delete for good puts the file into the trash", async () => {
    await put(store, "trash.csv", SMALL);
    drive.forbidDeletion();

    await store.delete("trash.csv", patient());

    expect(await store.head("trash.csv", patient())).toBeUndefined();
    expect(drive.log.at(-2)?.method).toBe("PATCH");
  });
});

test("Dropbox' access token is used as it is, and its end is told", async () => {
  const dropbox = await startDropbox();
  const store = openStore({
    kind: "dropbox",
    folder: "",
    credentials: { kind: "access", accessToken: new Secret(dropbox.accessToken()) },
    endpoint: dropbox.url,
    clock: systemClock,
  });

  await put(store, "x.csv", SMALL);
  dropbox.expireTokens();
  const failure = await failureOf(put(store, "y.csv", SMALL));
  await dropbox.stop();

  expect([...dropbox.files().keys()]).toEqual(["/x.csv"]);
  expect(failure.kind).toBe("refused");
  expect(failure.message).toContain("a refresh token lasts");
});
