import { createHash } from "node:crypto";
import { Transform } from "node:stream";

/**
 * 2^31 − 1 − 16: from 2^31 bytes of ciphertext on (the tag included) Python's `AESGCM.decrypt`, which the decryption
 * guide uses, fails (measured with cryptography 38 and 50).
 */
export const PART_BYTES_MAX = 2 ** 31 - 1 - 16;

/** A pass-through that counts and hashes what flows through it. */
export interface Meter {
  readonly stream: Transform;
  bytes(): number;
  /** Lower-case hex; to be called once, after the end. */
  sha256(): string;
}

/** A single row is larger than the decryption guide can open in one file. */
export class PartTooLarge extends Error {
  override readonly name = "PartTooLarge";

  constructor(limitBytes: number) {
    super(
      `the export is larger than ${limitBytes} bytes, the most that one file can hold; nothing was uploaded`,
    );
  }
}

export function createMeter(
  limitBytes: number = Number.POSITIVE_INFINITY,
  onBytes?: (total: number) => void,
): Meter {
  const hash = createHash("sha256");
  let total = 0;
  const stream = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      total += chunk.length;
      if (total > limitBytes) {
        done(new PartTooLarge(limitBytes));
        return;
      }
      hash.update(chunk);
      onBytes?.(total);
      done(null, chunk);
    },
  });
  return { stream, bytes: () => total, sha256: () => hash.digest("hex") };
}
