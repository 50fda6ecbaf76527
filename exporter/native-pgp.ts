import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { encryptSessionKey } from "openpgp";
import type { Recipient } from "./recipients.ts";

type Stage = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Buffer>;

const AES256_KEY_BYTES = 32;
const BLOCK_BYTES = 16;
/** RFC 9580 packet types, in the new header format (0xc0). */
const LITERAL_DATA = 0xc0 | 11;
const ENCRYPTED_DATA = 0xc0 | 18;
/** The modification detection code: packet type 19 with a body of 20 bytes. */
const MDC_HEADER = Buffer.of(0xd3, 0x14);
const SEIPD_VERSION = Buffer.of(1);
/** Binary, no file name, no date: what is inside says nothing about itself. */
const LITERAL_HEADER = Buffer.from([0x62, 0, 0, 0, 0, 0]);
/** Partial bodies have a power of two as their length: 256 KiB. */
const PARTIAL_EXPONENT = 18;
const PARTIAL_BYTES = 2 ** PARTIAL_EXPONENT;
const PARTIAL_HEADER = Buffer.of(0xe0 | PARTIAL_EXPONENT);

/**
 * A stage that encrypts a stream to all recipients in one binary OpenPGP message (PKESK v3, SEIPD v1, AES-256). The session
 * key is wrapped by openpgp.js, the bulk goes through OpenSSL: faster than the library by itself, with the same result.
 */
export function encryptNatively(recipients: readonly Recipient[]): Stage {
  return async function* nativePgp(source) {
    const key = randomBytes(AES256_KEY_BYTES);
    try {
      const encryptionKeys = recipients.map((recipient) => recipient.key);
      const options = { algorithm: "aes256", encryptionKeys, format: "binary" } as const;
      const sessionKeys: Uint8Array = await encryptSessionKey({ data: key, ...options });
      yield Buffer.from(sessionKeys);
      yield* packet(ENCRYPTED_DATA, sealed(packet(LITERAL_DATA, literal(source)), key));
    } finally {
      key.fill(0);
    }
  };
}

async function* literal(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield LITERAL_HEADER;
  yield* source;
}

/** RFC 9580 §5.13.1: a random block whose end is repeated, the data, and the SHA-1 of all of it, in CFB. */
async function* sealed(data: AsyncIterable<Buffer>, key: Buffer): AsyncGenerator<Buffer> {
  const cipher = createCipheriv("aes-256-cfb", key, Buffer.alloc(BLOCK_BYTES));
  const hash = createHash("sha1"); // as the format asks; it stands under the encryption
  const block = randomBytes(BLOCK_BYTES);
  const prefix = Buffer.concat([block, block.subarray(-2)]);
  yield SEIPD_VERSION;
  hash.update(prefix);
  yield cipher.update(prefix);
  for await (const chunk of data) {
    hash.update(chunk);
    yield cipher.update(chunk);
  }
  hash.update(MDC_HEADER);
  yield cipher.update(Buffer.concat([MDC_HEADER, hash.digest()]));
}

/** A packet whose length is not known when it begins: partial bodies, and the rest with its length. */
async function* packet(
  type: number,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, undefined> {
  yield Buffer.of(type);
  let waiting: Buffer[] = [];
  let length = 0;
  for await (const piece of body) {
    let rest = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    while (length + rest.length >= PARTIAL_BYTES) {
      const cut = PARTIAL_BYTES - length;
      yield PARTIAL_HEADER;
      yield* waiting;
      yield rest.subarray(0, cut);
      rest = rest.subarray(cut);
      waiting = [];
      length = 0;
    }
    waiting.push(rest);
    length += rest.length;
  }
  const header = Buffer.alloc(5);
  header.writeUInt8(0xff);
  header.writeUInt32BE(length, 1);
  yield header;
  yield* waiting;
}
