import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import {
  formatVerifierKey,
  NoteError,
  readSigningKey,
  readVerifiers,
  signNote,
  verifyNote,
} from "../../lib/signed-note.ts";
import { programPath } from "../servers/unprivileged.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const known = [{ keyName: "fettle.test/audit", publicKey }];
const note = signNote("one\n\ntwo ž\n", "fettle.test/audit", privateKey);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fettle-note-"));
});
afterEach(async () => rm(folder, { recursive: true }));

test("a note comes back from its signature, with empty lines in its text", () => {
  const { text, keyName, keyId } = verifyNote(note, known);

  expect([text, keyName]).toEqual(["one\n\ntwo ž\n", "fettle.test/audit"]);
  expect(formatVerifierKey(keyName, publicKey)).toContain(`fettle.test/audit+${keyId}+`);
  expect(note).toMatch(/^one\n\ntwo ž\n\n— fettle\.test\/audit [A-Za-z0-9+/]{91}=\n$/);
});

test("the key and the note of Go's sumdb/note package are read, and written the same", async () => {
  const vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
  const theirs =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
  await writeFile(join(folder, "keys"), `${vkey}\n`);

  const keys = await readVerifiers(join(folder, "keys"));

  expect(verifyNote(theirs, keys)).toMatchObject({ keyName: "PeterNeumann", keyId: "c74f20a3" });
  expect(keys.map((key) => formatVerifierKey("PeterNeumann", key.publicKey))).toEqual([vkey]);
});

test("every change of one byte is found", () => {
  const bytes = Buffer.from(note);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8((changed[at] ?? 0) ^ 1, at);
    expect(() => verifyNote(changed.toString("utf8"), known)).toThrow(NoteError);
  }
});

test("an unknown key is passed over, a known one that does not fit refuses the note", () => {
  const other = generateKeyPairSync("ed25519");
  const signature = note.slice(note.lastIndexOf("\n— ") + 1);
  const stranger = signNote("one\n\ntwo ž\n", "other", other.privateKey);

  expect(verifyNote(stranger + signature, known).keyName).toBe("fettle.test/audit");
  expect(() => verifyNote(stranger, known)).toThrow("no signature of the given keys");
  expect(() => verifyNote(`forged\n\n${signature}`, known)).toThrow("does not fit");
  expect(() => verifyNote("no note", known)).toThrow("not a signed note");
  expect(() => signNote("no newline", "k", privateKey)).toThrow("newline");
  expect(() => signNote("tab\t\n", "k", privateKey)).toThrow("control");
  expect(() => signNote("text\n", "a b", privateKey)).toThrow("name");
});

test("a key of openssl is read only when nobody else may read it", async () => {
  const path = join(folder, "key.pem");
  execFileSync(programPath("OPENSSL"), ["genpkey", "-algorithm", "ed25519", "-out", path]);
  await chmod(path, 0o600);
  const key = await readSigningKey(path);
  const pub = createPublicKey(key).export({ format: "pem", type: "spki" });
  await writeFile(join(folder, "pub.pem"), pub);

  const signed = signNote("text\n", "any.name", key);

  expect(verifyNote(signed, await readVerifiers(join(folder, "pub.pem"))).keyName).toBe("any.name");
  await expect(readVerifiers(path)).rejects.toThrow("private key");
  await chmod(path, 0o640);
  await expect(readSigningKey(path)).rejects.toThrow("mode 0640");
});

test("a file may hold the old key beside the new one, and a PEM that is cut off is no key", async () => {
  const path = join(folder, "keys.pem");
  const [old, fresh, stranger] = Array.from({ length: 3 }, () => generateKeyPairSync("ed25519"));
  const pem = (pair: typeof old) =>
    pair?.publicKey.export({ format: "pem", type: "spki" }).toString() ?? "";
  const sign = (pair: typeof old) => signNote("text\n", "any.name", pair?.privateKey as KeyObject);
  await writeFile(path, `# until May\n${pem(old)}# since then\n${pem(fresh)}`);

  const verifiers = await readVerifiers(path);

  expect(verifiers).toHaveLength(2);
  for (const pair of [old, fresh])
    expect(verifyNote(sign(pair), verifiers).keyName).toBe("any.name");
  expect(() => verifyNote(sign(stranger), verifiers)).toThrow("no signature of the given keys");
  await writeFile(path, pem(old).slice(0, -30));
  await expect(readVerifiers(path)).rejects.toThrow("holds no Ed25519 public key");
});
