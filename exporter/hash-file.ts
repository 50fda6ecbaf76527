import { createHash } from "node:crypto";
import { open } from "node:fs/promises";

const CHUNK_BYTES = 256 * 1024;

/** Size and SHA-256 (lower-case hex) of a file, in constant memory: a chunk is read while the one before is hashed. */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  let [full, empty] = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)];
  const file = await open(path);
  try {
    let { bytesRead } = await file.read(full);
    while (bytesRead > 0) {
      signal?.throwIfAborted();
      const next = file.read(empty);
      hash.update(full.subarray(0, bytesRead));
      bytes += bytesRead;
      ({ bytesRead } = await next);
      [full, empty] = [empty, full];
    }
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest("hex") };
}
