import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat, unlink } from "node:fs/promises";
import { finished, Readable, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createMeter, PART_BYTES_MAX } from "../lib/meter.ts";
import { writeWhole } from "./safe-file.ts";
import type { BuiltFile } from "./types.ts";

/** A pass of the stream: bytes in, bytes out. */
export type Layer =
  Transform | ((source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array | string>);

const READ_CHUNK_BYTES = 256 * 1024;
const PROGRESS_EVERY_BYTES = 8 * 1024 * 1024;

/** A copy of what passes before the first or the last layer, as a file of its own. */
export interface Tap {
  readonly name: string;
  readonly path: string;
  readonly before: "first" | "last";
}

/** A sealed file, and copies of what went into it. */
export interface Built {
  readonly file: Omit<BuiltFile, "rows">;
  readonly kept: readonly Omit<BuiltFile, "rows">[];
}

export interface BuildOptions {
  readonly name: string;
  /** Where the file is built; the name it gets outside is `name`. */
  readonly path: string;
  readonly layers: readonly Layer[];
  readonly taps?: readonly Tap[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes: (bytes: number) => void;
  /** For tests; see {@link PART_BYTES_MAX}. */
  readonly limitBytes?: number | undefined;
}

/**
 * Runs plaintext through the layers into a file of the work folder, in one stream: it exists only in passing. Counts and
 * hashes are taken on both sides.
 */
export async function buildFile(
  plaintext: AsyncIterable<Uint8Array>,
  options: BuildOptions,
): Promise<Built> {
  const { path, taps = [] } = options;
  let reported = 0;
  const plain = createMeter(options.limitBytes ?? PART_BYTES_MAX, (total) => {
    if (total - reported < PROGRESS_EVERY_BYTES) return;
    reported = total;
    options.onBytes(total);
  });
  const sealed = createMeter();
  await unlink(path).catch(() => undefined); // an attempt that could not be used
  const meters = taps.map(() => createMeter());
  await withSinks(taps, async (sinks) => {
    const copies = (before: Tap["before"]) =>
      taps.flatMap((tap, n) => {
        const [meter, sink] = [meters[n], sinks[n]];
        if (tap.before !== before || meter === undefined || sink === undefined) return [];
        return [meter.stream, copyInto(sink)];
      });
    const inner = options.layers.slice(0, -1);
    const stages = [...copies("first"), ...inner, ...copies("last"), ...options.layers.slice(-1)];
    await writeWhole(path, String(process.pid), async (sink) =>
      runPipeline(
        [Readable.from(plaintext), plain.stream, ...stages, sealed.stream, sink],
        options.signal,
      ),
    );
  });
  const inside = { plaintextBytes: plain.bytes(), plaintextSha256: plain.sha256() };
  return {
    file: { name: options.name, bytes: sealed.bytes(), sha256: sealed.sha256(), ...inside },
    kept: taps.map(({ name }, n) => ({
      name,
      bytes: meters[n]?.bytes() ?? 0,
      sha256: meters[n]?.sha256() ?? "",
      ...inside,
    })),
  };
}

/** Opens a file for each tap; they get their names when `work` has ended well, and are taken away otherwise. */
async function withSinks(
  [tap, ...rest]: readonly Tap[],
  work: (sinks: readonly Writable[]) => Promise<void>,
  sinks: readonly Writable[] = [],
): Promise<void> {
  if (tap === undefined) return work(sinks);
  await unlink(tap.path).catch(() => undefined);
  await writeWhole(tap.path, String(process.pid), async (sink) =>
    withSinks(rest, work, [...sinks, sink]),
  );
}

/** A pass-through whose bytes are in the file as well before they go on. */
function copyInto(sink: Writable): Transform {
  sink.on("error", () => undefined); // told to whoever wrote
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      sink.write(chunk, (error) => {
        done(error ?? null, chunk);
      });
    },
    flush: (done) => {
      finished(sink, done);
      sink.end();
    },
  });
}

async function runPipeline(
  stages: readonly (Readable | Layer | Writable)[],
  signal: AbortSignal | undefined,
): Promise<void> {
  // The types of the array form know streams only; Node takes async generator functions there as well.
  const streams = stages as unknown as readonly NodeJS.ReadWriteStream[];
  await pipeline(streams, signal === undefined ? {} : { signal });
}

/** The file that an interrupted run built under this name, if it is still in the work folder, unchanged. */
export async function findBuilt(
  builds: readonly BuiltFile[],
  name: string,
  path: string,
): Promise<BuiltFile | undefined> {
  const size = await stat(path).then(
    (stats) => stats.size,
    () => undefined,
  );
  if (size === undefined) return undefined;
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: READ_CHUNK_BYTES }), hash);
  const sha256 = hash.digest("hex");
  return builds.find((build) => build.name === name && build.sha256 === sha256);
}
