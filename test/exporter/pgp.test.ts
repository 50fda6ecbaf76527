import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { generateKey, readKey, readPrivateKey, revokeKey } from "openpgp";
import { decryptFile } from "../../exporter/main.ts";
import { encryptByGpg } from "../../exporter/adapters/gpg-cli.ts";
import { encryptByLibrary, encryptTo } from "../../exporter/pgp.ts";
import { readRecipients } from "../../exporter/recipients.ts";
import { startGnupg, type Gnupg } from "../servers/gnupg.ts";
import { programPath } from "../servers/unprivileged.ts";
import { packets } from "./given-packets.ts";
import { tempFolder } from "./given.ts";

const DAY_SECONDS = 86_400;

/** What recipients have: of Debian 12, and of Debian 13. */
const GPGS = ["GPG", "GPG24"] as const;
const SQS = ["SQ", "SQ1"] as const;

let folder: Awaited<ReturnType<typeof tempFolder>>;
let gnupgs: Readonly<Record<(typeof GPGS)[number], Gnupg>>;

beforeAll(async () => {
  gnupgs = { GPG: await startGnupg("GPG"), GPG24: await startGnupg("GPG24") };
});
afterAll(async () => {
  for (const each of GPGS) await gnupgs[each].stop();
});
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => folder.remove());

async function newKey(more: { passphrase?: string } = {}) {
  return generateKey({ userIDs: [{ name: "Auditor", email: "a@example.org" }], ...more });
}

function source(content: string, from = "AUDIT_PGP_PUBLIC_KEY") {
  return { from, content: Buffer.from(content) };
}

async function encrypt(
  plaintext: Buffer,
  keys: string,
  comment?: string,
  engine: typeof encryptTo = encryptTo,
): Promise<string> {
  const recipients = await readRecipients([source(keys)], new Date());
  const path = join(folder.path, "audit.csv.gpg");
  await pipeline(Readable.from([plaintext]), engine(recipients, comment), createWriteStream(path));
  return path;
}

const byGpg =
  (program: (typeof GPGS)[number]): typeof encryptTo =>
  (recipients, comment) =>
    encryptByGpg(programPath(program), recipients, comment);

/** Opens with Sequoia's command line; what it could keep of itself lies in the test's folder. */
async function openBySq(
  program: (typeof SQS)[number],
  path: string,
  privateKey: string,
): Promise<Buffer> {
  const keyFile = join(folder.path, "sq.asc");
  await writeFile(keyFile, privateKey, { mode: 0o600 });
  const option = program === "SQ" ? "--recipient-key" : "--recipient-file"; // renamed in 1.0
  const { stdout } = await promisify(execFile)(
    programPath(program),
    ["decrypt", option, keyFile, path],
    { encoding: "buffer", maxBuffer: 64 * 1024 * 1024, env: { HOME: folder.path } },
  );
  return stdout;
}

/** By all of them, and by us: each must give the same. */
async function expectOpenedByAll(path: string, privateKey: string, plaintext: Buffer) {
  const keyFile = join(folder.path, "key.asc");
  await writeFile(keyFile, privateKey, { mode: 0o600 });
  const output = join(folder.path, "opened");
  await decryptFile({ file: path, pgpPrivateKeyFile: keyFile, output });
  const opened: [string, Buffer][] = [["fettle", await readFile(output)]];
  await rm(output);
  for (const each of GPGS) opened.push([each, await gnupgs[each].decryptFile(path)]);
  for (const each of SQS) opened.push([each, await openBySq(each, path, privateKey)]);
  const right = opened.filter(([, content]) => content.equals(plaintext)).map(([who]) => who);
  expect([plaintext.length, ...right]).toEqual([
    plaintext.length,
    "fettle",
    "GPG",
    "GPG24",
    "SQ",
    "SQ1",
  ]);
}

async function importEverywhere(privateKey: string): Promise<void> {
  for (const each of GPGS) await gnupgs[each].importKey(privateKey);
}

test("gpg and sq open a file for either of two recipients", async () => {
  const [ana, ivo] = [await newKey(), await newKey()];
  const plaintext = Buffer.from('id,event\n1,"žut 🛠"\n'.repeat(20_000));

  const path = await encrypt(plaintext, `${ana.publicKey},${ivo.publicKey}`);

  expect(packets(await readFile(path))).toEqual([
    [1, 3],
    [1, 3],
    [18, 1],
  ]);
  await importEverywhere(ivo.privateKey);
  await expectOpenedByAll(path, ivo.privateKey, plaintext);
});

/** What the message is made of, or the comment of an armored one. */
async function formOf(path: string): Promise<string> {
  const content = await readFile(path);
  const comment = /^Comment: (.*)$/m.exec(content.subarray(0, 200).toString("latin1"))?.[1];
  if (comment !== undefined) return comment.trim();
  const names = new Map([
    [1, "PKESK"],
    [18, "SEIPD"],
  ]);
  return packets(content)
    .map(([tag, version]) => `${names.get(tag) ?? tag} ${version}`)
    .join(", ");
}

/** The built-in writer's packets end around these. */
const EDGES = [1, 2 ** 18 - 8, 2 ** 18 - 6, 2 ** 18 - 5, 2 ** 18, 2 ** 18 + 1];
const SIZES = [0, 250_000, 600_001];

test.each([
  ["the built-in writer", encryptTo, [...EDGES, ...SIZES], undefined],
  ["the library", encryptByLibrary, SIZES, undefined],
  ["gpg", byGpg("GPG"), SIZES, undefined],
  ["gpg 2.4", byGpg("GPG24"), SIZES, undefined],
  ["the armored writer", encryptTo, [250_000], "Fettle, audit"],
  ["armoring gpg", byGpg("GPG"), [250_000], "Fettle, audit"],
  ["armoring gpg 2.4", byGpg("GPG24"), [250_000], "Fettle, audit"],
])(
  "what %s writes is opened by gpg, sq and openpgp.js alike, whatever its size",
  async (_name, engine, sizes, comment) => {
    const key = await newKey();
    await importEverywhere(key.privateKey);
    for (const size of sizes) {
      const plaintext = Buffer.alloc(size, "žut,1\n");

      const path = await encrypt(plaintext, key.publicKey, comment, engine);

      expect(await formOf(path)).toEqual(comment ?? "PKESK 3, SEIPD 1");
      await expectOpenedByAll(path, key.privateKey, plaintext);
    }
  },
);

// By upstream's defaults, which Debian has taken back, such a key prefers OCB, and gpg 2.4 alone writes it.
const UPSTREAM = ["--compliance=gnupg"];

test.each([
  ["with its defaults", [] as const, 18],
  ["that prefers OCB", UPSTREAM, 20],
])(
  "a key that gpg 2.4 made %s is a recipient: everybody opens what we write, and what gpg 2.4 writes for us",
  async (name, more, ownChoice) => {
    const { run } = gnupgs.GPG24;
    const user = `${name} <a@example.org>`;
    const made = ["default", "default", "never"];
    await run(...more, "--passphrase", "", "--quick-generate-key", user, ...made);
    const publicKey = (await run("--armor", "--export", `=${user}`)).toString();
    const privateKey = (await run("--armor", "--export-secret-keys", `=${user}`)).toString();
    await gnupgs.GPG.importKey(privateKey);
    const [recipient] = await readRecipients([source(publicKey)], new Date());
    expect(recipient?.warning).toBeUndefined();
    const [file, plaintext] = [join(folder.path, "plain"), Buffer.alloc(400_000, "žut,1\n")];
    await writeFile(file, plaintext);
    const byItself = await run(...more, "-r", `=${user}`, "-o", "-", "-e", file);
    expect(packets(byItself)[1]?.[0]).toBe(ownChoice);

    for (const engine of [encryptTo, encryptByLibrary, byGpg("GPG24"), byGpg("GPG")]) {
      const path = await encrypt(plaintext, publicKey, undefined, engine);
      expect(await formOf(path)).toBe("PKESK 3, SEIPD 1");
      await expectOpenedByAll(path, privateKey, plaintext);
    }
  },
);

test("gpg's refusal is the export's error, and nothing is left behind", async () => {
  const { publicKey } = await newKey();
  const failing: typeof encryptTo = (recipients) => encryptByGpg("false", recipients, undefined);
  const missing: typeof encryptTo = (recipients) =>
    encryptByGpg("no-such-gpg", recipients, undefined);

  await expect(encrypt(Buffer.alloc(1e6), publicKey, undefined, failing)).rejects.toThrow(
    "gpg could not encrypt (exit 1)",
  );
  await expect(encrypt(Buffer.alloc(1e6), publicKey, undefined, missing)).rejects.toThrow("ENOENT");
  const left = (await readdir(tmpdir())).filter((name) => name.startsWith("fettle-gpg-"));
  expect(left).toEqual([]);
});

test("stays in the format that gpg reads, even when every recipient advertises AEAD", async () => {
  const key = await generateKey({ userIDs: [{ name: "New" }], config: { aeadProtect: true } });

  const path = await encrypt(Buffer.from("row\n"), key.publicKey);

  expect(packets(await readFile(path))).toEqual([
    [1, 3],
    [18, 1],
  ]);
  await importEverywhere(key.privateKey);
  await expectOpenedByAll(path, key.privateKey, Buffer.from("row\n"));
});

test("a comment armors the file and stands in its header", async () => {
  const key = await newKey();

  const path = await encrypt(Buffer.from("row\n"), key.publicKey, "Fettle audit, ključ 1");

  expect(await readFile(path, "utf8")).toMatch(
    /^-----BEGIN PGP MESSAGE-----\r?\nComment: Fettle audit, ključ 1\r?\n/,
  );
  await importEverywhere(key.privateKey);
  await expectOpenedByAll(path, key.privateKey, Buffer.from("row\n"));
});

test("reads keys with literal \\n, several in a text, binary files, and each only once", async () => {
  const [ana, ivo] = [await newKey(), await newKey()];
  const binary = Buffer.from((await readKey({ armoredKey: ivo.publicKey })).write());

  const recipients = await readRecipients(
    [
      source(ana.publicKey.replaceAll("\n", "\\n")),
      source(`${ana.publicKey},${ivo.publicKey}`),
      { from: "ivo.gpg", content: binary },
    ],
    new Date(),
  );

  expect(recipients.map(({ fingerprint }) => fingerprint)).toEqual([
    expect.stringMatching(/^[0-9A-F]{40}$/),
    expect.stringMatching(/^[0-9A-F]{40}$/),
  ]);
});

test("names the fingerprint of an expired, a revoked and a sign-only key", async () => {
  const user = { userIDs: [{ name: "Old" }] };
  const lastWeek = new Date(Date.now() - 7 * DAY_SECONDS * 1000);
  const expired = await generateKey({ ...user, date: lastWeek, keyExpirationTime: DAY_SECONDS });
  const signOnly = await generateKey({ ...user, subkeys: [{ sign: true }] });
  const { publicKey: revoked } = await revokeKey({
    key: await readPrivateKey({ armoredKey: (await newKey()).privateKey }),
    format: "armored",
  });
  for (const [key, reason] of [
    [expired.publicKey, /expired/],
    [revoked, /revoked/],
    [signOnly.publicKey, /encryption key/],
  ] as const) {
    const fingerprint = (await readKey({ armoredKey: key })).getFingerprint().toUpperCase();
    const reading = readRecipients([source(key)], new Date());
    await expect(reading).rejects.toThrow(`PGP key ${fingerprint} cannot be used`);
    await expect(reading).rejects.toThrow(reason);
  }
});

test("refuses a private key, and text without a key, by the variable's name", async () => {
  const key = await newKey();

  await expect(readRecipients([source(key.privateKey)], new Date())).rejects.toThrow(
    "AUDIT_PGP_PUBLIC_KEY holds a private key",
  );
  await expect(readRecipients([source("hello")], new Date())).rejects.toThrow(
    "AUDIT_PGP_PUBLIC_KEY holds no readable PGP public key",
  );
});

test("warns about a key that gpg cannot use", async () => {
  const key = await generateKey({ userIDs: [{ name: "New" }], type: "curve25519" });

  const [recipient] = await readRecipients([source(key.publicKey)], new Date());

  expect(recipient?.warning).toMatch(/gpg 2.2/);
});

test("decrypt opens a .gpg file by itself, with a locked key", async () => {
  const key = await newKey({ passphrase: "correct horse" });
  const path = await encrypt(Buffer.from("row\n"), key.publicKey);
  const keyFile = join(folder.path, "key.asc");
  await writeFile(keyFile, key.privateKey);
  const request = { file: path, pgpPrivateKeyFile: keyFile };

  await expect(decryptFile(request)).rejects.toThrow(/is locked and no passphrase/);
  await expect(decryptFile({ ...request, passphrase: "x" })).rejects.toThrow(/does not open/);
  const opened = await decryptFile({ ...request, passphrase: "correct horse" });

  expect(opened).toMatchObject({ opened: ["pgp"], name: "audit.csv", stillEncrypted: false });
  expect(await readFile(join(folder.path, "audit.csv"), "utf8")).toBe("row\n");
});

test("a wrong key, a changed and a truncated message are told apart, and leave no file", async () => {
  const [ana, ivo] = [await newKey(), await newKey()];
  const path = await encrypt(Buffer.alloc(300_000, "row\n"), ana.publicKey);
  const bytes = await readFile(path);
  const place = join(folder.path, "place");
  await mkdir(place);
  const [anaKey, ivoKey] = [join(folder.path, "ana.asc"), join(folder.path, "ivo.asc")];
  await writeFile(anaKey, ana.privateKey);
  await writeFile(ivoKey, ivo.privateKey);
  const file = join(place, "x.csv.gpg");

  await writeFile(file, bytes);
  await expect(decryptFile({ file, pgpPrivateKeyFile: ivoKey })).rejects.toThrow(
    /is encrypted to key [0-9A-F]{16}; the private key given is [0-9A-F]{16}/,
  );
  for (const length of [150_000, bytes.length - 1, bytes.length - 30]) {
    await writeFile(file, bytes.subarray(0, length));
    await expect(decryptFile({ file, pgpPrivateKeyFile: anaKey })).rejects.toThrow(/truncated/);
  }
  const flipped = Buffer.from(bytes);
  flipped[200_000] = (flipped[200_000] ?? 0) ^ 1;
  await writeFile(file, flipped);
  await expect(decryptFile({ file, pgpPrivateKeyFile: anaKey })).rejects.toThrow(/changed/);

  expect(await readdir(place)).toEqual(["x.csv.gpg"]);
});
