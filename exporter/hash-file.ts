import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createMeter } from "./meter.ts";

const READ_CHUNK_BYTES = 256 * 1024;

/** Size and SHA-256 (lower-case hex) of a file, in constant memory. */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const meter = createMeter();
  meter.stream.resume();
  const source = createReadStream(path, { highWaterMark: READ_CHUNK_BYTES });
  await pipeline(source, meter.stream, { signal });
  return { bytes: meter.bytes(), sha256: meter.sha256() };
}
