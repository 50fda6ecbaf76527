import { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import { fromRandomAccessReaderPromise, RandomAccessReader, type Entry, type ZipFile } from "yauzl";
import { PART_BYTES_MAX } from "../lib/meter.ts";
import type { Content } from "./content.ts";
import { memberNames } from "./name.ts";

/** What is in an archive is not what an export puts there. */
class ArchiveError extends Error {
  override readonly name = "ArchiveError";
}

/** The archive's directory is at its end: this is many times what that of two members takes. */
const TAIL_BYTES = 256 * 1024;
const STORED = 0;
const DEFLATED = 8;

export interface OpenedArchive {
  readonly csv: AsyncIterable<Uint8Array>;
  readonly jsonl: AsyncIterable<Uint8Array>;
}

/**
 * Opens an archive of an export as two streams, which may be read side by side. The whole content is read once before anything of
 * it is used, so that it is authentic; then again for each member: nothing of it is held, in memory or on a disk.
 *
 * @param name of the archive, which says what its members are called
 * @throws ArchiveError when it is no archive, or holds anything else
 */
export async function openArchive(name: string, content: Content): Promise<OpenedArchive> {
  const source = await ContentReader.of(content);
  let zip: ZipFile;
  let entries: readonly Entry[];
  try {
    zip = await fromRandomAccessReaderPromise(source, source.size, {
      lazyEntries: true,
      autoClose: false,
      strictFileNames: true,
    });
    entries = await entriesOf(zip);
  } catch (cause) {
    if (cause instanceof ArchiveError) throw cause;
    throw new ArchiveError(`not a readable ZIP archive: ${(cause as Error).message}`, { cause });
  }
  const { csv, jsonl } = memberNames(name);
  const [first, second] = [csv, jsonl].map((wanted) =>
    entries.find(({ fileName }) => fileName === wanted),
  );
  if (first === undefined || second === undefined) {
    const found = entries.map(({ fileName }) => JSON.stringify(fileName)).join(", ");
    throw new ArchiveError(`the archive holds ${found}, not ${csv} and ${jsonl}`);
  }
  return { csv: contentOf(zip, first), jsonl: contentOf(zip, second) };
}

async function entriesOf(zip: ZipFile): Promise<readonly Entry[]> {
  if (zip.entryCount !== 2)
    throw new ArchiveError(`the archive has ${zip.entryCount} members in place of two`);
  const entries: Entry[] = [];
  for await (const entry of zip.eachEntry()) entries.push(entry);
  for (const { fileName, compressionMethod, uncompressedSize } of entries) {
    if (compressionMethod !== STORED && compressionMethod !== DEFLATED)
      throw new ArchiveError(`${fileName}: is compressed in another way (${compressionMethod})`);
    if (uncompressedSize > PART_BYTES_MAX)
      throw new ArchiveError(`${fileName}: is larger than ${PART_BYTES_MAX} bytes`);
  }
  return entries;
}

async function* contentOf(zip: ZipFile, entry: Entry): AsyncGenerator<Buffer, void, undefined> {
  if (entry.isEncrypted()) throw new ArchiveError(`${entry.fileName}: is encrypted`);
  let sum = 0;
  // Ends with an error as soon as there is more than the directory says.
  const stream = await zip.openReadStreamPromise(entry);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      sum = crc32(chunk, sum);
      yield chunk;
    }
  } finally {
    stream.destroy();
  }
  if (sum !== entry.crc32) throw new ArchiveError(`${entry.fileName}: was changed (its CRC-32)`);
}

/** Gives any range of a content that can only be read from its beginning. */
class ContentReader extends RandomAccessReader {
  readonly #content: Content;
  readonly #tail: Buffer;
  readonly size: number;

  private constructor(content: Content, size: number, tail: Buffer) {
    super();
    this.#content = content;
    this.#tail = tail;
    this.size = size;
  }

  static async of(content: Content): Promise<ContentReader> {
    let size = 0;
    const last: Uint8Array[] = [];
    let held = 0;
    for await (const chunk of content.read()) {
      size += chunk.length;
      if (size > PART_BYTES_MAX)
        throw new ArchiveError(`the archive is larger than ${PART_BYTES_MAX} bytes`);
      held += chunk.length;
      last.push(chunk);
      while (held - (last[0]?.length ?? 0) >= TAIL_BYTES) held -= last.shift()?.length ?? 0;
    }
    const tail = Buffer.concat(last);
    return new ContentReader(content, size, tail);
  }

  override _readStreamForRange(start: number, end: number): Readable {
    if (start < 0 || end > this.size || start > end)
      return Readable.from(failing(`it names bytes ${start} to ${end} of ${this.size}`));
    const tailStart = this.size - this.#tail.length;
    if (start >= tailStart)
      return Readable.from([this.#tail.subarray(start - tailStart, end - tailStart)]);
    return Readable.from(rangeOf(this.#content.read(), start, end));
  }
}

// eslint-disable-next-line require-yield -- a stream that only fails
async function* failing(why: string): AsyncGenerator<Buffer, void, undefined> {
  await Promise.reject(new ArchiveError(why));
}

async function* rangeOf(
  bytes: AsyncIterable<Uint8Array>,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for await (const chunk of bytes) {
    const piece = chunk.subarray(Math.max(0, start - at), end - at);
    at += chunk.length;
    if (piece.length > 0) yield piece;
    if (at >= end) return;
  }
  throw new ArchiveError("the archive changed while it was read");
}
