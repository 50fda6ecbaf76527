import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from "node:crypto";
import { open } from "node:fs/promises";
import { requirePrivate } from "../../private-file.ts";
import type { KeyWrapper } from "../../envelope/types.ts";

const KEK_BYTES = 32;
/** The default initial value of RFC 3394 §2.2.3.1; unwrapping checks it, which is the scheme's integrity check. */
const RFC3394_IV = Buffer.alloc(8, 0xa6);

/**
 * Wraps data keys by AES key wrap (RFC 3394) under a key in a file: 32 bytes as base64, as hex or raw. Python opens it by
 * `cryptography.hazmat.primitives.keywrap.aes_key_unwrap`.
 *
 * @throws when the file cannot be read, is open to others than its owner, or does not hold 32 bytes
 */
export async function localKeyWrapper(path: string): Promise<KeyWrapper> {
  const kek = await readKek(path);
  const id = `local:${createHmac("sha256", kek).update("fettle local key id").digest("hex").slice(0, 16)}`;
  return {
    name: "local",
    id,
    wrap: async (dek) => {
      const cipher = createCipheriv("id-aes256-wrap", kek, RFC3394_IV);
      return { wrapped: Buffer.concat([cipher.update(dek), cipher.final()]), keyId: id };
    },
    unwrap: async (wrapped, recordedId = id) => {
      if (recordedId !== id) {
        throw new Error(`wrong key: the envelope wants ${recordedId}, the key given is ${id}`);
      }
      return unwrap(kek, wrapped);
    },
  };
}

function unwrap(kek: Buffer, wrapped: Buffer): Buffer {
  const decipher = createDecipheriv("id-aes256-wrap", kek, RFC3394_IV);
  try {
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch (cause) {
    throw new Error("the local key does not open this file's data key (another key, or changed)", {
      cause,
    });
  }
}

async function readKek(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    requirePrivate(path, await file.stat());
    const content = await file.readFile();
    const kek = decodeKek(content);
    if (kek === undefined) {
      throw new Error(`key file ${path} must hold ${KEK_BYTES} bytes as base64, hex or raw`);
    }
    if (timingSafeEqual(kek, Buffer.alloc(KEK_BYTES))) {
      throw new Error(`key file ${path} holds only zeros`);
    }
    return kek;
  } finally {
    await file.close();
  }
}

function decodeKek(content: Buffer): Buffer | undefined {
  if (content.length === KEK_BYTES) return content;
  const text = content.toString("latin1").trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, "hex");
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return Buffer.from(text, "base64");
  return undefined;
}
