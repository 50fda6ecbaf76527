import { createPrivateKey, createPublicKey, hash, sign, verify, type KeyObject } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { requirePrivate } from "./private-file.ts";

// A signed note (c2sp.org/signed-note): text, an empty line, and signature lines `— <key name> <base64>`.

const ED25519 = 1;
const KEY_ID_BYTES = 4;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE = /^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u;
/** The specification asks for at least 16. */
const SIGNATURES_MAX = 64;

/** The note is not signed by a key that was given, or was changed. */
export class NoteError extends Error {
  override readonly name = "NoteError";
}

/** A key that notes are checked against. */
export interface NoteVerifier {
  /** Undefined: whatever name the note gives it, as a PEM file knows none. */
  readonly keyName: string | undefined;
  readonly publicKey: KeyObject;
}

export interface VerifiedNote {
  /** What was signed, with its final newline. */
  readonly text: string;
  readonly keyName: string;
  /** Eight hex digits. */
  readonly keyId: string;
}

/**
 * Signs a text, which must end with a newline and hold no other control characters.
 *
 * @throws NoteError when the text or the key's name cannot stand in a note
 */
export function signNote(text: string, keyName: string, privateKey: KeyObject): string {
  const problem = textProblem(text);
  if (problem !== undefined) throw new NoteError(problem);
  if (!/^[^\s+]+$/u.test(keyName)) {
    throw new NoteError("the name of a signing key must not be empty or hold blanks or +");
  }
  const id = keyIdBytes(keyName, createPublicKey(privateKey));
  const signature = Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]);
  return `${text}\n— ${keyName} ${signature.toString("base64")}\n`;
}

/**
 * Checks a note against the keys that the reader trusts. Signatures of other keys are passed over, but one that names a
 * trusted key and does not fit refuses the whole note.
 *
 * @throws NoteError
 */
export function verifyNote(note: string, verifiers: readonly NoteVerifier[]): VerifiedNote {
  const split = note.lastIndexOf("\n\n");
  if (split < 0 || !note.endsWith("\n")) throw new NoteError("not a signed note");
  const text = note.slice(0, split + 1);
  const problem = textProblem(text);
  if (problem !== undefined) throw new NoteError(problem);
  const lines = note.slice(split + 2, -1).split("\n");
  if (lines.length > SIGNATURES_MAX) throw new NoteError("a note with too many signatures");
  const signed = lines.flatMap((line) => checkSignature(line, text, verifiers) ?? []);
  const [first] = signed;
  if (first === undefined) throw new NoteError("no signature of the given keys");
  return { text, ...first };
}

function checkSignature(
  line: string,
  text: string,
  verifiers: readonly NoteVerifier[],
): Omit<VerifiedNote, "text"> | undefined {
  const [, keyName, base64] = SIGNATURE.exec(line) ?? [];
  if (keyName === undefined || base64 === undefined) {
    throw new NoteError("not a signed note: a signature line is malformed");
  }
  const bytes = Buffer.from(base64, "base64");
  if (bytes.toString("base64") !== base64) {
    throw new NoteError("not a signed note: a signature line is malformed");
  }
  const id = bytes.subarray(0, KEY_ID_BYTES);
  const verifier = verifiers.find(
    (known) =>
      (known.keyName ?? keyName) === keyName && keyIdBytes(keyName, known.publicKey).equals(id),
  );
  if (verifier === undefined) return undefined;
  if (!verify(null, Buffer.from(text), verifier.publicKey, bytes.subarray(KEY_ID_BYTES))) {
    throw new NoteError(`the signature of ${keyName} does not fit: the note was changed`);
  }
  return { keyName, keyId: id.toString("hex") };
}

function textProblem(text: string): string | undefined {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text)) return "a note must not hold control characters";
  return text.endsWith("\n") ? undefined : "the text of a note must end with a newline";
}

/** Eight hex digits that stand for a key and its name. */
function noteKeyId(keyName: string, publicKey: KeyObject): string {
  return keyIdBytes(keyName, publicKey).toString("hex");
}

function keyIdBytes(keyName: string, publicKey: KeyObject): Buffer {
  const prefix = Buffer.from(`${keyName}\n`);
  const data = Buffer.concat([prefix, Buffer.of(ED25519), rawPublicKey(publicKey)]);
  return hash("sha256", data, "buffer").subarray(0, KEY_ID_BYTES);
}

function rawPublicKey(key: KeyObject): Buffer {
  requireEd25519(key, "the key");
  // An Ed25519 SubjectPublicKeyInfo is a fixed head followed by the key's 32 bytes (RFC 8410).
  return key.export({ format: "der", type: "spki" }).subarray(-PUBLIC_KEY_BYTES);
}

/** The form in which C2SP verifiers exchange keys: `<name>+<key id>+<base64 of type and key>`. */
export function formatVerifierKey(keyName: string, publicKey: KeyObject): string {
  const key = Buffer.concat([Buffer.of(ED25519), rawPublicKey(publicKey)]).toString("base64");
  return `${keyName}+${noteKeyId(keyName, publicKey)}+${key}`;
}

/**
 * Reads an Ed25519 signing key (PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it).
 *
 * @throws when the file is open to others than its owner, or holds no such key
 */
export async function readSigningKey(path: string): Promise<KeyObject> {
  const file = await open(path, "r");
  try {
    requirePrivate(path, await file.stat());
    const key = parseKey(await file.readFile("utf8"), createPrivateKey, path);
    requireEd25519(key, `key file ${path}`);
    return key;
  } finally {
    await file.close();
  }
}

/**
 * Reads public keys, in PEM one after the other, or in the C2SP form, one on a line. After a rotation the old key stays in
 * the file: what it signed is still to be checked.
 *
 * @throws when the file holds no Ed25519 key
 */
export async function readVerifiers(path: string): Promise<readonly NoteVerifier[]> {
  const content = await readFile(path, "utf8");
  if (content.includes("PRIVATE KEY")) {
    throw new Error(`${path} holds a private key; give the public key only`);
  }
  const blocks = content.match(/-----BEGIN [\s\S]*?-----END [^\n]*/g);
  if (blocks !== null) return blocks.map((pem) => parsePemVerifier(pem, path));
  const lines = content.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => parseVerifierKey(line.trim(), path));
}

function parsePemVerifier(pem: string, path: string): NoteVerifier {
  const publicKey = parseKey(pem, createPublicKey, path);
  requireEd25519(publicKey, path);
  return { keyName: undefined, publicKey };
}

function parseVerifierKey(line: string, path: string): NoteVerifier {
  const [, keyName = "", id = "", base64 = ""] =
    /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/u.exec(line) ?? [];
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length !== PUBLIC_KEY_BYTES + 1 || bytes[0] !== ED25519) {
    throw new Error(`${path} holds no Ed25519 public key (PEM, or name+id+base64)`);
  }
  const publicKey = createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: bytes.subarray(1).toString("base64url") },
    format: "jwk",
  });
  if (noteKeyId(keyName, publicKey) !== id) {
    throw new Error(`${path}: the key ${keyName} does not have the id ${id} that it claims`);
  }
  return { keyName, publicKey };
}

function parseKey(pem: string, parse: (pem: string) => KeyObject, path: string): KeyObject {
  try {
    return parse(pem);
  } catch (cause) {
    throw new Error(`key file ${path} holds no readable PEM key`, { cause });
  }
}

function requireEd25519(key: KeyObject, what: string): void {
  if (key.asymmetricKeyType !== "ed25519") {
    throw new Error(`${what} must be an Ed25519 key, not ${key.asymmetricKeyType ?? "symmetric"}`);
  }
}
