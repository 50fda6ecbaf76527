import { Readable } from "node:stream";
import { ZipFile } from "yazl";

/** A file of the archive; its content is asked for when its turn comes. */
export interface Member {
  readonly name: string;
  readonly content: () => AsyncIterable<Uint8Array>;
}

export interface ZipOptions {
  /** Of all members: the same rows give the same bytes, whenever they are put in. */
  readonly changedAt: Date;
  /** False: they are stored, because what comes behind compresses. */
  readonly compressed: boolean;
}

const OWNER_ONLY_FILE = 0o100600;
/** On audit rows two thirds of the time that zlib's usual 6 takes, for files that are 7% larger (measured). */
const LEVEL = 1;

/** A ZIP archive as a stream: each member is read once, one behind the other, and its size follows it (a data descriptor). */
export async function* zipOf(
  members: readonly Member[],
  { changedAt: mtime, compressed }: ZipOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const zip = new ZipFile();
  const output = zip.outputStream;
  if (!(output instanceof Readable)) throw new Error("yazl gives a stream of another kind");
  const fail = (error: Error) => output.destroy(error);
  zip.once("error", fail);
  const begun: Readable[] = [];
  const options = { mtime, mode: OWNER_ONLY_FILE, compressionLevel: compressed ? LEVEL : 0 };
  for (const { name, content } of members) {
    zip.addReadStreamLazy(name, options, (give) => {
      const source = Readable.from(content(), { highWaterMark: 1 }).once("error", fail);
      begun.push(source);
      give(null, source);
    });
  }
  zip.end();
  try {
    yield* output as AsyncIterable<Buffer>;
  } finally {
    for (const source of begun) source.destroy();
  }
}
