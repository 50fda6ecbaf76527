import { createCipheriv, randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decryptFile } from "../../../exporter/main.ts";
import { localKeyWrapper } from "../../../lib/adapters/kms/local.ts";
import { sealEnvelope } from "../../../lib/envelope/seal.ts";
import { wrapNewKey } from "../../../lib/envelope/wrap-key.ts";
import { openEnvelopeByPython } from "../../servers/python.ts";
import { localKeyFile, tempFolder } from "../../exporter/given.ts";

let folder: Awaited<ReturnType<typeof tempFolder>>;
let kek: string;

beforeEach(async () => {
  folder = await tempFolder();
  kek = await localKeyFile(folder.path);
});
afterEach(async () => folder.remove());

async function seal(plaintext: Buffer, pieces: readonly number[] = [], originalFilename = "a.csv") {
  const path = join(folder.path, `${randomBytes(8).toString("hex")}.envelope.json`);
  const key = await wrapNewKey([await localKeyWrapper(kek)], { quorum: undefined, selftest: true });
  const head = { originalFilename, exportId: "e", created: new Date(0), ...key };
  const cuts = [0, ...pieces.map((at) => Math.min(at, plaintext.length)), plaintext.length];
  const chunks = cuts.slice(1).map((end, index) => plaintext.subarray(cuts[index], end));
  await pipeline(Readable.from(chunks), sealEnvelope(head, key.dek), createWriteStream(path));
  return path;
}

async function open(path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const stdout = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  await decryptFile({ file: path, localKeyFile: kek, stdout });
  return Buffer.concat(chunks);
}

test("gives back what was sealed, for every size around the block and chunk borders", async () => {
  const border = [0, 1, 2, 3, 15, 16, 17, 2 ** 18 - 1, 2 ** 18, 2 ** 18 + 1].map((size) =>
    fc.constant(size),
  );
  const size = fc.oneof(...border, fc.integer({ min: 0, max: 5_000 }));
  const cuts = fc.array(fc.integer({ min: 0, max: 300_000 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(size, cuts, async (bytes, at) => {
      const plaintext = randomBytes(bytes);
      const path = await seal(
        plaintext,
        at.toSorted((a, b) => a - b),
      );
      expect((await open(path)).equals(plaintext)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test.each([0, 1, 16, 2 ** 18 + 1])("the decryption guide's Python opens %i bytes", async (size) => {
  const plaintext = randomBytes(size);
  const path = await seal(plaintext);

  const opened = await openEnvelopeByPython(path, kek, join(folder.path, "python"));

  expect((await readFile(opened)).equals(plaintext)).toBe(true);
});

test("has the members of the guide, and the data key nowhere", async () => {
  const meta = JSON.parse(await readFile(await seal(Buffer.from("x")), "utf8")) as object;

  expect(meta).toMatchObject({
    scheme: "envelope-aesgcm",
    original_filename: "a.csv",
    wrapped_keys: { local: expect.stringMatching(/^[A-Za-z0-9+/]{54}==|[A-Za-z0-9+/=]{56}$/) },
    nonce: expect.stringMatching(/^[A-Za-z0-9+/]{16}$/),
    created: "1970-01-01T00:00:00Z",
    plaintext_size: 1,
  });
  expect(Object.keys(meta)).not.toContain("dek");
});

test("zeroes the data key as soon as the cipher has it", () => {
  const dek = randomBytes(32);

  const head = {
    originalFilename: "a",
    exportId: "e",
    wrappedKeys: {},
    keyIds: {},
    created: new Date(),
  };
  sealEnvelope(head, dek).destroy();

  expect(dek.equals(Buffer.alloc(32))).toBe(true);
});

test("refuses more than a part may hold", async () => {
  const head = {
    originalFilename: "a",
    exportId: "e",
    wrappedKeys: {},
    keyIds: {},
    created: new Date(),
  };

  const sealing = pipeline(
    Readable.from([Buffer.alloc(10), Buffer.alloc(10)]),
    sealEnvelope(head, randomBytes(32), 19),
    createWriteStream(join(folder.path, "large")),
  );

  await expect(sealing).rejects.toThrow(/larger than 19 bytes/);
});

test("opens what other writers make: indented, reordered, with escaped names", async () => {
  const wrapper = await localKeyWrapper(kek);
  const dek = randomBytes(32);
  const { wrapped } = await wrapper.wrap(dek);
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", dek, nonce);
  const ciphertext = Buffer.concat([cipher.update("žut 🛠\n"), cipher.final(), cipher.getAuthTag()]);
  const text = JSON.stringify(
    {
      created: "now",
      nonce: nonce.toString("base64"),
      nested: { ciphertext: "not this one", list: ["ciphertext", 1] },
      cipher_text: ciphertext.toString("base64"),
      wrapped_keys: { local: wrapped.toString("base64") },
      original_filename: "č \u0022q\u0022.csv",
      scheme: "envelope-aesgcm",
    },
    undefined,
    4,
  ).replace('"cipher_text"', String.raw`"cipher\u0074ext"`);
  const path = join(folder.path, "foreign.json");
  await writeFile(path, text);

  expect((await open(path)).toString()).toBe("žut 🛠\n");
});

test("any changed byte of the ciphertext is noticed, and no file is left", async () => {
  const path = await seal(randomBytes(100));
  const text = await readFile(path, "latin1");
  const start = text.indexOf('"ciphertext":"') + '"ciphertext":"'.length;
  const end = text.indexOf('"', start);
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: start, max: end - 1 }),
      fc.integer({ min: 0, max: 7 }),
      async (at, bit) => {
        const bytes = Buffer.from(text, "latin1");
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        const tampered = join(folder.path, "tampered", "x.envelope.json");
        await mkdir(join(folder.path, "tampered"), { recursive: true });
        await writeFile(tampered, bytes);
        // The last characters of base64 carry bits that stand for nothing; those alone may change unseen.
        const same = Buffer.from(bytes.toString("latin1").slice(start, end), "base64").equals(
          Buffer.from(text.slice(start, end), "base64"),
        );
        const intact = same && !/["\\]/.test(bytes.toString("latin1").slice(start, end));
        if (intact) return;
        await expect(decryptFile({ file: tampered, localKeyFile: kek })).rejects.toThrow();
        expect(await readdir(join(folder.path, "tampered"))).toEqual(["x.envelope.json"]);
      },
    ),
    { numRuns: 150 },
  );
});

test("a truncated file is refused wherever it was cut, and no file is left", async () => {
  const path = await seal(randomBytes(500));
  const bytes = await readFile(path);
  const place = join(folder.path, "cut");
  await mkdir(place);
  for (let length = 1; length < bytes.length - 1; length += 7) {
    await writeFile(join(place, "x.json"), bytes.subarray(0, length));
    await expect(decryptFile({ file: join(place, "x.json"), localKeyFile: kek })).rejects.toThrow(
      /truncated|not an envelope/,
    );
  }
  expect(await readdir(place)).toEqual(["x.json"]);
});

test.each([
  ["another nonce", '"nonce":"AAAAAAAAAAAAAAAA"', /authentication failed/],
  ["a short nonce", '"nonce":"AAAA"', /nonce/],
  ["another scheme", '"scheme":"rot13"', /scheme/],
  ["a second ciphertext", '"nonce":"AAAAAAAAAAAAAAAA","ciphertext":"AAAA"', /two ciphertexts/],
  ["a path as name", '"original_filename":"../../../etc/cron.d/x"', /unsafe file/],
  ["a dot as name", '"original_filename":".."', /unsafe file/],
  ["an option as name", '"original_filename":"-rf"', /unsafe file/],
  ["a NUL in the name", String.raw`"original_filename":"a\u0000b"`, /unsafe file/],
  ["an escape in the ciphertext", String.raw`"ciphertext":"\u0041`, /escape/],
])("refuses %s", async (_what, member, message) => {
  const path = await seal(Buffer.from("row\n"));
  const name = /^"(\w+)"/.exec(member)?.[1] ?? "";
  const text = await readFile(path, "utf8");
  const old = name === "ciphertext" ? '"ciphertext":"' : new RegExp(`"${name}":"[^"]*"`);
  await writeFile(
    path,
    text.replace(old, () => member),
  );

  await expect(decryptFile({ file: path, localKeyFile: kek })).rejects.toThrow(message);
});

test("says which key it wants when the key is another one", async () => {
  const path = await seal(Buffer.from("x"));
  const other = await localKeyFile(folder.path, "other");

  await expect(decryptFile({ file: path, localKeyFile: other })).rejects.toThrow(
    /wrong key: the envelope wants local:[0-9a-f]{16}/,
  );
  await expect(decryptFile({ file: path })).rejects.toThrow(/wrapped by local; give the local key/);
});

test.each([
  ["plain text", "id,xid\n1,2\n", /neither an envelope nor an OpenPGP message/],
  ["an empty file", "", /neither/],
  ["other JSON", '{"a": 1}', /not an envelope/],
])("refuses %s", async (_what, content, message) => {
  const path = join(folder.path, "thing");
  await writeFile(path, content);

  await expect(decryptFile({ file: path, localKeyFile: kek })).rejects.toThrow(message);
});

test("never overwrites a file", async () => {
  const path = await seal(Buffer.from("new"));
  await writeFile(join(folder.path, "a.csv"), "old");

  await expect(decryptFile({ file: path, localKeyFile: kek })).rejects.toThrow(/exists already/);
  expect(await readFile(join(folder.path, "a.csv"), "utf8")).toBe("old");
});

test.each([
  ["open to others", 0o644, randomBytes(32), /mode 0644: others may read it/],
  ["too short", 0o600, randomBytes(31), /must hold 32 bytes/],
  ["zero", 0o600, Buffer.alloc(32), /only zeros/],
])("refuses a key file that is %s", async (_what, mode, content, message) => {
  const path = join(folder.path, "bad-key");
  await writeFile(path, content, { mode });

  await expect(localKeyWrapper(path)).rejects.toThrow(message);
});

test("takes the same key raw, as hex and as base64", async () => {
  const key = randomBytes(32);
  const forms = [key, `${key.toString("hex")}\n`, `${key.toString("base64")}\n`];
  const ids: string[] = [];
  for (const [index, form] of forms.entries()) {
    const path = join(folder.path, `form-${index}`);
    await writeFile(path, form, { mode: 0o600 });
    ids.push((await localKeyWrapper(path)).id);
  }
  expect(new Set(ids).size).toBe(1);
});
