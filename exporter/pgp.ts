import { randomBytes } from "node:crypto";
import { createMessage, encrypt } from "openpgp";
import { encryptNatively } from "./native-pgp.ts";
import type { Recipient } from "./recipients.ts";

type Stage = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Buffer>;

const AES256_KEY_BYTES = 32;

/**
 * A stage that encrypts a stream to all recipients in one OpenPGP message.
 *
 * @param comment makes the result ASCII-armored, with this `Comment:` header
 */
export function encryptTo(recipients: readonly Recipient[], comment?: string): Stage {
  return comment === undefined
    ? encryptNatively(recipients)
    : encryptByLibrary(recipients, comment);
}

/**
 * By openpgp.js alone. The session key is ours, because the library's choice depends on the recipients: keys that all
 * advertise AEAD would get a format that no gpg reads, and one recipient without AES-256 in its preferences would take
 * everybody down to AES-128 (measured). With our own key the result is always PKESK v3 + SEIPD v1 + AES-256.
 *
 * @param comment undefined: binary
 */
export function encryptByLibrary(recipients: readonly Recipient[], comment?: string): Stage {
  return async function* pgp(source) {
    const sessionKey = randomBytes(AES256_KEY_BYTES);
    try {
      const options = {
        message: await createMessage({ binary: ReadableStream.from(source), filename: "" }),
        encryptionKeys: recipients.map(({ key }) => key),
        sessionKey: { data: sessionKey, algorithm: "aes256" as const },
      };
      const sealed: unknown =
        comment === undefined
          ? await encrypt({ ...options, format: "binary" })
          : await encrypt({
              ...options,
              format: "armored",
              config: { showComment: true, commentString: comment },
            });
      // The library's stream types need a package that it does not install; a stream in is a stream out.
      for await (const piece of sealed as AsyncIterable<Uint8Array | string>) yield asBuffer(piece);
    } finally {
      sessionKey.fill(0);
    }
  };
}

function asBuffer(piece: Uint8Array | string): Buffer {
  if (typeof piece === "string") return Buffer.from(piece);
  return Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
}
