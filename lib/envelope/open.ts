import { createDecipheriv } from "node:crypto";
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { Transform, type Readable } from "node:stream";
import { z } from "zod";
import { EnvelopeError, scanEnvelope } from "./scan.ts";

/** An envelope whose ciphertext has been found, not yet authenticated. */
export interface OpenedEnvelope {
  /** A plain file name, safe to create in a folder. */
  readonly originalFilename: string;
  readonly wrappedKeys: Readonly<Record<string, string>>;
  readonly keyIds: Readonly<Record<string, string>>;
  /** With what each key was wrapped, as it is written there; only for messages. */
  readonly contexts: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /**
   * Decrypts from the file's start. What it yields is authentic only once the stream has ended without an error: hold it
   * back until then.
   */
  decrypt(dek: Buffer): { readonly base64: Readable; readonly decipher: Transform };
}

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const READ_CHUNK_BYTES = 256 * 1024;

const headSchema = z.object({
  scheme: z.literal("envelope-aesgcm"),
  original_filename: z.string(),
  wrapped_keys: z.record(z.string(), z.string()),
  nonce: z.base64(),
  ciphertext: z.literal(""),
  key_ids: z.record(z.string(), z.string()).optional(),
  encryption_context: z.record(z.string(), z.record(z.string(), z.string())).optional(),
});

/** @throws EnvelopeError when the file is not an envelope, is truncated, or names a file that may not be created */
export async function openEnvelope(path: string): Promise<OpenedEnvelope> {
  const { head, start, end } = await scanEnvelope(path);
  const parsed = headSchema.safeParse(head);
  if (!parsed.success) {
    const members = parsed.error.issues.map((issue) => issue.path.join(".")).join(", ");
    throw new EnvelopeError(`not an envelope of this format: check ${members}`);
  }
  const nonce = Buffer.from(parsed.data.nonce, "base64");
  if (nonce.length !== NONCE_BYTES) throw new EnvelopeError("the nonce is not 12 bytes long");
  const textBytes = end - start;
  if (textBytes % 4 !== 0 || textBytes < 24) {
    throw new EnvelopeError("the ciphertext is truncated: its base64 is not complete");
  }
  return {
    originalFilename: safeFileName(parsed.data.original_filename),
    wrappedKeys: parsed.data.wrapped_keys,
    keyIds: parsed.data.key_ids ?? {},
    contexts: parsed.data.encryption_context ?? {},
    decrypt: (dek) => ({
      base64: createReadStream(path, { start, end: end - 1, highWaterMark: READ_CHUNK_BYTES }),
      decipher: decipherBase64(dek, nonce),
    }),
  };
}

/**
 * The name stands in the clear and is not authenticated; the guide's `open(meta["original_filename"], "wb")` writes wherever
 * an attacker likes. Only a plain name is accepted.
 */
export function safeFileName(name: string): string {
  const plain = basename(name);
  const isPlain = plain === name && !name.includes("\\") && !/^(\.{0,2}$|-)/.test(name);
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!isPlain || /[\u0000-\u001f\u007f]/.test(name)) {
    throw new EnvelopeError(`the envelope names an unsafe file: ${JSON.stringify(name)}`);
  }
  return plain;
}

function decipherBase64(dek: Buffer, nonce: Buffer): Transform {
  const decipher = createDecipheriv("aes-256-gcm", dek, nonce);
  let text = "";
  let held = Buffer.alloc(0); // the last 16 bytes may be the tag
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString("latin1");
      // The last four characters wait: only there padding is allowed.
      const whole = Math.max(0, text.length - 4 - (text.length % 4));
      const decoded = decodeStrictly(text.slice(0, whole));
      text = text.slice(whole);
      if (decoded === undefined) {
        done(new EnvelopeError("the ciphertext is not valid base64"));
        return;
      }
      const data = Buffer.concat([held, decoded]);
      const usable = Math.max(0, data.length - TAG_BYTES);
      held = Buffer.from(data.subarray(usable));
      done(null, decipher.update(data.subarray(0, usable)));
    },
    flush(done) {
      try {
        this.push(finishDecipher(decipher, held, text));
        done();
      } catch (error) {
        done(error instanceof EnvelopeError ? error : notAuthentic(error));
      }
    },
  });
}

function finishDecipher(
  decipher: ReturnType<typeof createDecipheriv> & { setAuthTag(tag: Buffer): unknown },
  held: Buffer,
  text: string,
): Buffer {
  const padding = /={0,2}$/.exec(text)?.[0].length ?? 0;
  const end = Buffer.from(text, "base64");
  if (end.length !== 3 - padding) throw new EnvelopeError("the ciphertext is not valid base64");
  const data = Buffer.concat([held, end]);
  if (data.length < TAG_BYTES) throw new EnvelopeError("the ciphertext is shorter than its tag");
  const rest = decipher.update(data.subarray(0, data.length - TAG_BYTES));
  decipher.setAuthTag(data.subarray(data.length - TAG_BYTES));
  return Buffer.concat([rest, decipher.final()]);
}

/** Node skips what is not base64; a length that does not fit gives it away. */
function decodeStrictly(text: string): Buffer | undefined {
  const decoded = Buffer.from(text, "base64");
  return decoded.length === (text.length / 4) * 3 ? decoded : undefined;
}

function notAuthentic(cause: unknown): EnvelopeError {
  return new EnvelopeError(
    "the file was changed, or its data key belongs to another file: authentication failed",
    { cause },
  );
}
