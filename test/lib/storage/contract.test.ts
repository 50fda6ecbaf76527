import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { StorageError, type BlobStore, type PutInfo } from "../../../lib/storage.ts";
import type { GivenStore } from "./given-kinds.ts";
import { STORES } from "./given-store.ts";

const TWO_MEBIBYTES = 2 * 1024 * 1024;
/** More than two parts of any store. */
const LARGE = randomBytes(20 * 1024 * 1024 + 17);
const patient = () => AbortSignal.timeout(30_000);

function info(more: Partial<PutInfo> = {}): PutInfo {
  return { contentType: "application/gzip", signal: patient(), ...more };
}

function announced(content: Buffer) {
  return {
    bytes: content.length,
    sha256: createHash("sha256").update(content).digest("hex"),
  };
}

/** In pieces, as a stream from elsewhere comes. */
function streamOf(content: Buffer, piece = 64 * 1024): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < content.length; at += piece) yield content.subarray(at, at + piece);
    })(),
  );
}

async function put(store: BlobStore, key: string, text: string, more: Partial<PutInfo> = {}) {
  const content = Buffer.from(text);
  return store.put(key, streamOf(content), info({ expected: announced(content), ...more }));
}

async function read(store: BlobStore, key: string): Promise<string> {
  return (await buffer(await store.get(key, patient()))).toString();
}

async function keysOf(store: BlobStore, prefix: string): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, patient())) keys.push(key);
  return keys.sort();
}

async function failureOf(work: Promise<unknown>): Promise<StorageError> {
  const error: unknown = await work.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StorageError)) throw new Error("not a StorageError", { cause: error });
  return error;
}

describe.each(STORES)("%s", (_name, start) => {
  let given: GivenStore;
  let store: BlobStore;

  beforeAll(async () => {
    given = await start();
    store = given.store;
  }, 60_000);
  afterAll(async () => given.stop());

  test("gives back what was put, and says where it is and how that is known", async () => {
    const stored = await put(store, "runs/a/first.txt", "the first", {
      metadata: { run: "run_1" },
    });

    expect(stored).toMatchObject(announced(Buffer.from("the first")));
    expect(stored.location).toMatch(/runs\/a\/first\.txt$/);
    expect(stored.verifiedBy).toBe(given.verifies);
    expect(await read(store, "runs/a/first.txt")).toBe("the first");
    expect(await store.head("runs/a/first.txt", patient())).toMatchObject({
      bytes: 9,
      metadata: given.keepsMetadata ? { run: "run_1" } : {},
    });
  });

  test("the same key twice is one object: the second", async () => {
    await put(store, "twice/x", "one");
    await put(store, "twice/x", "two");

    expect(await read(store, "twice/x")).toBe("two");
    expect(await keysOf(store, "twice/")).toEqual(["twice/x"]);
  });

  test("with ifAbsent what is there stays, and a new key is taken", async () => {
    await put(store, "once/x", "one", { ifAbsent: true });

    const failure = await failureOf(put(store, "once/x", "two", { ifAbsent: true }));
    const streamed = await failureOf(
      store.put("once/x", streamOf(Buffer.from("three")), info({ ifAbsent: true })),
    );

    expect([failure.kind, streamed.kind]).toEqual(["exists", "exists"]);
    expect(await read(store, "once/x")).toBe("one");
  });

  test("a stream of unknown length goes in parts, whole and checked, and leaves nothing else", async () => {
    const stored = await store.put("large/x", streamOf(LARGE), info());

    expect(stored).toMatchObject({ ...announced(LARGE), verifiedBy: given.verifies });
    const back = await buffer(await store.get("large/x", patient()));
    expect(back.equals(LARGE)).toBe(true);
    expect(given.leftovers?.() ?? 0).toBe(0);
  }, 60_000);

  test("an empty object is one as well", async () => {
    const none = Buffer.alloc(0);
    await store.put("empty/x", streamOf(none), info());
    await store.put("empty/y", streamOf(none), info({ expected: announced(none) }));

    expect(await read(store, "empty/x")).toBe("");
    expect(await store.head("empty/y", patient())).toMatchObject({ bytes: 0 });
  });

  test("other bytes than were announced do not get there, and what was there stays", async () => {
    await put(store, "announced/x", "before");
    const expected = announced(Buffer.from("what was meant"));

    const failure = await failureOf(
      store.put("announced/x", streamOf(Buffer.from("something else")), info({ expected })),
    );

    expect(failure.kind).toBe("corrupt");
    expect(failure.retryable).toBe(true);
    expect(await read(store, "announced/x")).toBe("before");
  });

  test("a source that fails in the middle leaves what was there", async () => {
    await put(store, "source/x", "before");
    const broken = Readable.from(
      (async function* () {
        yield LARGE.subarray(0, TWO_MEBIBYTES);
        await Promise.resolve();
        throw new Error("the disk is gone");
      })(),
    );

    const failure = await failureOf(store.put("source/x", broken, info()));

    expect(failure.message).toContain("the disk is gone");
    expect(await read(store, "source/x")).toBe("before");
    expect(given.leftovers?.() ?? 0).toBe(0);
  });

  test("lists by prefix over several pages, and deletes", async () => {
    const names = Array.from({ length: 7 }, (_, at) => `list/${at}/x.txt`);
    for (const name of names) await put(store, name, name);
    expect(await keysOf(store, "list/")).toEqual(names);
    expect(await keysOf(store, "list/3")).toEqual(["list/3/x.txt"]);

    await store.delete("list/3/x.txt", patient());
    await store.delete("list/3/x.txt", patient()); // it is gone already

    expect(await keysOf(store, "list/")).toEqual(names.filter((name) => !name.includes("/3/")));
    expect(await store.head("list/3/x.txt", patient())).toBeUndefined();
  });

  test("what is not there is missing, and no failure of the store", async () => {
    expect((await failureOf(store.get("none/x", patient()))).kind).toBe("missing");
    expect(await store.head("none/x", patient())).toBeUndefined();
    expect(await keysOf(store, "none/")).toEqual([]);
  });

  test.each(["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/b/", "a\\b", "a\u0000b"])(
    "a key that leads elsewhere is refused: %j",
    async (key) => {
      expect((await failureOf(put(store, key, "x"))).kind).toBe("refused");
      expect((await failureOf(store.get(key, patient()))).kind).toBe("refused");
    },
  );

  test("whoever gives up does not wait, and nothing is there", async () => {
    const giveUp = new AbortController();
    const endless = Readable.from(
      (async function* () {
        for (;;) {
          yield LARGE.subarray(0, TWO_MEBIBYTES);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })(),
    );
    setTimeout(() => {
      giveUp.abort();
    }, 100);

    const failure = await failureOf(
      store.put("endless/x", endless, info({ signal: giveUp.signal })),
    );

    expect(failure.kind).toBe("unavailable");
    expect(await store.head("endless/x", patient())).toBeUndefined();
  });

  test("a link is good for reading that object, and for nothing else", async () => {
    await put(store, "link/x", "linked");
    await put(store, "link/y", "not linked");
    const link = await store.link?.("link/x", 60);
    // Google's emulator has no key to sign with, a folder no address.
    expect(link !== undefined).toBe(given.links);
    if (link === undefined) return;

    const answer = await fetch(link);
    const other = await fetch(link.replace("link/x", "link/y"));

    expect([answer.status, await answer.text()]).toEqual([200, "linked"]);
    expect(other.status).toBe(403);
  });
});
