import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { openStore } from "../../../lib/adapters/storage/open.ts";
import { systemClock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/secret.ts";
import { StorageError, type BlobStore, type StoreOptions } from "../../../lib/storage.ts";
import type { GivenStore } from "./given-kinds.ts";
import { CLOUDS } from "./given-store.ts";

const CONTENT = randomBytes(300_000);
/** Long enough for any answer that comes at all, short enough to wait for one that does not. */
const LIMIT_MS = 20_000;

async function put(store: BlobStore, key: string, limitMs = LIMIT_MS, known = true) {
  const expected = {
    bytes: CONTENT.length,
    sha256: createHash("sha256").update(CONTENT).digest("hex"),
  };
  return store.put(key, Readable.from([CONTENT.subarray(0, 1000), CONTENT.subarray(1000)]), {
    contentType: "application/gzip",
    signal: AbortSignal.timeout(limitMs),
    ...(known ? { expected } : {}),
  });
}

async function failureOf(work: Promise<unknown>): Promise<StorageError> {
  const error: unknown = await work.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StorageError)) throw new Error("not a StorageError", { cause: error });
  return error;
}

/** Says yes to everybody, as a portal in front of the network does. */
async function startPortal() {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/html" });
    response.end("<html><body>Welcome to the hotel. Please log in.</body></html>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

describe.each(CLOUDS)("%s", (_name, start) => {
  let given: GivenStore;
  let store: BlobStore;

  beforeAll(async () => {
    given = await start();
    store = given.store;
    await put(store, "before/x");
  }, 60_000);
  beforeEach(async () => {
    await given.proxy?.setMode({ kind: "pass" });
    given.setFault?.({ kind: "none" });
  });
  afterAll(async () => given.stop());

  async function told(failure: StorageError): Promise<void> {
    expect(failure.message).toContain(store.name);
    expect(failure.message.length).toBeLessThan(600);
    if (given.credential !== undefined) expect(failure.message).not.toContain(given.credential);
    // No vendor's error with a whole request in it, that a log would print.
    expect(Object.keys(failure)).toEqual(expect.not.arrayContaining(["request", "config"]));
    expect(failure.cause).toBeUndefined();
  }

  test("a server that is down is unavailable, and is used again when it is back", async () => {
    await given.proxy?.setMode({ kind: "refuse" });

    const failure = await failureOf(put(store, "down/x"));
    const asked = await failureOf(store.head("before/x", AbortSignal.timeout(LIMIT_MS)));
    await given.proxy?.setMode({ kind: "pass" });

    expect([failure.kind, asked.kind]).toEqual(["unavailable", "unavailable"]);
    await told(failure);
    expect(await put(store, "down/x")).toMatchObject({ bytes: CONTENT.length });
  }, 60_000);

  test("a server that says nothing is given up when the caller's time is over", async () => {
    await given.proxy?.setMode({ kind: "blackhole" });

    const failures = [
      await failureOf(put(store, "slow/x", 500)),
      await failureOf(put(store, "slow/x", 500, false)),
      await failureOf(store.head("before/x", AbortSignal.timeout(500))),
      await failureOf(store.get("before/x", AbortSignal.timeout(500))),
    ];

    expect(failures.map(({ kind }) => kind)).toEqual(failures.map(() => "unavailable"));
    await told(failures[0] as StorageError);
  }, 60_000);

  test("a connection that is cut in the middle of an upload leaves nothing", async () => {
    const cut = Readable.from(
      (async function* () {
        yield CONTENT;
        await given.proxy?.setMode({ kind: "reset" });
        yield CONTENT;
      })(),
    );
    const info = { contentType: "application/gzip", signal: AbortSignal.timeout(LIMIT_MS) };

    const failure = await failureOf(store.put("cut/x", cut, info));
    await given.proxy?.setMode({ kind: "pass" });

    expect(failure.kind).toBe("unavailable");
    expect(await store.head("cut/x", AbortSignal.timeout(LIMIT_MS))).toBeUndefined();
  }, 60_000);

  test("a connection that is cut in the middle of a download is no shorter object", async () => {
    await given.proxy?.setMode({ kind: "cutAfter", bytes: 100_000 });

    const error: unknown = await store
      .get("before/x", AbortSignal.timeout(LIMIT_MS))
      .then(async (body) => buffer(body))
      .then(
        (content) => `${content.length} bytes`,
        (reason: unknown) => reason,
      );

    expect(Error.isError(error)).toBe(true);
  }, 60_000);
});

// Dropbox makes whatever folder is named.
describe.each(CLOUDS.filter(([name]) => name !== "Dropbox"))("%s", (_name, start) => {
  let given: GivenStore;

  beforeAll(async () => {
    given = await start();
  }, 60_000);
  afterAll(async () => given.stop());

  test("a bucket that does not exist is refused, not taken for an object that does not", async () => {
    const { homeless } = given;
    if (homeless === undefined) throw new Error("here are buckets");

    const failures = [
      await failureOf(put(homeless, "x")),
      await failureOf(homeless.get("x", AbortSignal.timeout(LIMIT_MS))),
    ];

    expect(failures[0]).toMatchObject({ kind: "refused", retryable: false });
    expect(failures[1]?.kind).toMatch(/refused|missing/);
  });
});

describe.each(CLOUDS.filter(([name]) => name !== "Google Cloud Storage"))("%s", (_name, start) => {
  let given: GivenStore;

  beforeAll(async () => {
    given = await start();
  }, 60_000);
  afterAll(async () => given.stop());

  test("somebody with a wrong key is refused", async () => {
    const { stranger } = given;
    if (stranger === undefined) throw new Error("here are keys");

    const failure = await failureOf(put(stranger, "x"));

    expect(failure).toMatchObject({ kind: "refused", retryable: false });
    expect(failure.message).toMatch(/40[013]|invalid_client/);
    expect(failure.message).not.toContain("of-somebody-else");
  });
});

describe.each(CLOUDS)("%s", (_name, start) => {
  let given: GivenStore;

  beforeAll(async () => {
    given = await start();
  }, 60_000);
  beforeEach(() => given.setFault?.({ kind: "none" }));
  afterAll(async () => given.stop());

  test.each([true, false])(
    "bytes that change on the way are found out (announced: %s)",
    async (known) => {
      given.setFault?.({ kind: "corrupt" });

      const failure = await failureOf(put(given.store, "corrupt/x", LIMIT_MS, known));

      expect(failure).toMatchObject({ kind: "corrupt", retryable: true });
    },
  );

  test.each([
    [403, "AccessDenied", "refused"],
    [500, "InternalError", "unavailable"],
    [503, "SlowDown", "unavailable"],
    [429, "TooManyRequests", "unavailable"],
  ])("an answer %i %s is %s", async (status, code, kind) => {
    given.setFault?.({ kind: "status", status, code });

    const failure = await failureOf(put(given.store, "status/x"));

    expect(failure.kind).toBe(kind);
  });
});

const common = { prefix: "", clock: systemClock } as const;
const accessToken = new Secret("given-without-asking");

test.each<readonly [string, (url: string) => StoreOptions]>([
  [
    "S3",
    (endpoint) => ({
      ...common,
      kind: "s3",
      bucket: "b",
      region: "eu-1",
      endpoint,
      pathStyle: true,
      credentials: { accessKeyId: "AKIA", secretAccessKey: new Secret("any") },
    }),
  ],
  ["Google Cloud Storage", (endpoint) => ({ ...common, kind: "gcs", bucket: "b", endpoint })],
  [
    "Azure Blob Storage",
    (url) => ({
      ...common,
      kind: "azure",
      container: "c",
      accountUrl: undefined,
      connectionString: new Secret(
        `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YW55;BlobEndpoint=${url}/a;`,
      ),
    }),
  ],
  [
    "Dropbox",
    (endpoint) => ({
      kind: "dropbox",
      clock: systemClock,
      folder: "/a",
      credentials: { kind: "access", accessToken },
      endpoint,
    }),
  ],
])("%s: what answers 200 to everything is no store", async (_name, optionsOf) => {
  const portal = await startPortal();
  const store = openStore(optionsOf(portal.url));

  const failures = [
    await failureOf(put(store, "x", LIMIT_MS)),
    await failureOf(put(store, "x", LIMIT_MS, false)),
  ];
  await portal.stop();

  expect(failures.map(({ kind }) => kind)).not.toContain("exists");
});
