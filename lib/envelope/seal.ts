import { createCipheriv, randomBytes } from "node:crypto";
import { Transform } from "node:stream";
import { PART_BYTES_MAX, PartTooLarge } from "../meter.ts";

/** What stands in the clear around the ciphertext. */
export interface EnvelopeHead {
  /** The name the reader gives to the decrypted file; masked when names are masked. */
  readonly originalFilename: string;
  readonly exportId: string;
  /** Base64, by wrapper name (`local`, `aws_kms`, …). */
  readonly wrappedKeys: Readonly<Record<string, string>>;
  readonly keyIds: Readonly<Record<string, string>>;
  /** What key services want to hear again, by wrapper name. */
  readonly contexts?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly created: Date;
}

const NONCE_BYTES = 12;

/**
 * Turns a stream into the envelope JSON of the decryption guide: AES-256-GCM, tag appended, no additional data,
 * base64. Works in constant memory: JSON does not care about the order of members, so the ciphertext is written as it
 * comes and its size at the end. The plaintext's hash is left out on purpose: beside the ciphertext it would let a reader
 * without the key confirm a guess about a short record.
 *
 * Takes over `dek`, which is zeroed before this returns.
 */
export function sealEnvelope(
  head: EnvelopeHead,
  dek: Buffer,
  limitBytes: number = PART_BYTES_MAX,
): Transform {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", dek, nonce);
  dek.fill(0);
  const base64 = createBase64();
  let size = 0;
  const envelope = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      size += chunk.length;
      if (size > limitBytes) done(new PartTooLarge(limitBytes));
      else done(null, base64.encode(cipher.update(chunk)));
    },
    flush: (done) => {
      cipher.final();
      const end = base64.encode(cipher.getAuthTag()).toString("latin1") + base64.end();
      done(null, `${end}","plaintext_size":${size}}\n`);
    },
  });
  envelope.push(openingOf(head, nonce));
  return envelope;
}

function openingOf(head: EnvelopeHead, nonce: Buffer): string {
  const members = JSON.stringify({
    scheme: "envelope-aesgcm",
    original_filename: head.originalFilename,
    wrapped_keys: head.wrappedKeys,
    nonce: nonce.toString("base64"),
    created: head.created.toISOString().replace(/\.\d+Z$/, "Z"),
    key_ids: head.keyIds,
    export_id: head.exportId,
    ...(Object.keys(head.contexts ?? {}).length > 0 && { encryption_context: head.contexts }),
  });
  return `${members.slice(0, -1)},"ciphertext":"`;
}

/** A multiple of three; its text stays below V8's limit for large objects, which only the slow collector frees. */
const BASE64_STEP_BYTES = 48 * 1024;

/** Base64 in pieces: three bytes make four characters, so up to two bytes wait for the next piece. */
function createBase64(): { encode(chunk: Buffer): Buffer; end(): string } {
  let waiting = Buffer.alloc(0);
  return {
    encode: (chunk) => {
      const data = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
      const whole = data.length - (data.length % 3);
      waiting = Buffer.from(data.subarray(whole));
      const text = Buffer.allocUnsafe((whole / 3) * 4);
      for (let at = 0, length = 0; at < whole; at += BASE64_STEP_BYTES) {
        const end = Math.min(whole, at + BASE64_STEP_BYTES);
        length += text.write(data.toString("base64", at, end), length, "latin1");
      }
      return text;
    },
    end: () => waiting.toString("base64"),
  };
}
