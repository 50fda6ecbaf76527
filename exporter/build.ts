import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat, unlink } from "node:fs/promises";
import type { Readable, Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createMeter, PART_BYTES_MAX } from "./meter.ts";
import { writeWhole } from "./safe-file.ts";
import type { BuiltFile, CsvRows, ExportPlan } from "./types.ts";

/** A pass of the stream: bytes in, bytes out. */
export type Layer =
  Transform | ((source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array | string>);

const READ_CHUNK_BYTES = 256 * 1024;
const PROGRESS_EVERY_BYTES = 8 * 1024 * 1024;

export interface BuildOptions {
  readonly name: string;
  /** Where the file is built; the name it gets outside is `name`. */
  readonly path: string;
  readonly layers: readonly Layer[];
  readonly signal?: AbortSignal | undefined;
  readonly onBytes: (bytes: number) => void;
  /** For tests; see {@link PART_BYTES_MAX}. */
  readonly limitBytes?: number | undefined;
}

/**
 * Runs the rows through the layers into a file of the work folder, in one stream: the CSV exists only in passing. Counts
 * and hashes are taken on both sides.
 */
export async function buildFile(rows: CsvRows, options: BuildOptions): Promise<BuiltFile> {
  const { path } = options;
  let reported = 0;
  const plain = createMeter(options.limitBytes ?? PART_BYTES_MAX, (total) => {
    if (total - reported < PROGRESS_EVERY_BYTES) return;
    reported = total;
    options.onBytes(total);
  });
  const sealed = createMeter();
  await unlink(path).catch(() => undefined); // an attempt that could not be used
  await writeWhole(path, String(process.pid), async (sink) =>
    runPipeline([rows.csv, plain.stream, ...options.layers, sealed.stream, sink], options.signal),
  );
  return {
    name: options.name,
    bytes: sealed.bytes(),
    sha256: sealed.sha256(),
    plaintextBytes: plain.bytes(),
    plaintextSha256: plain.sha256(),
    rows: await rows.countRows(),
  };
}

async function runPipeline(
  stages: readonly (Readable | Layer | Writable)[],
  signal: AbortSignal | undefined,
): Promise<void> {
  // The types of the array form know streams only; Node takes async generator functions there as well.
  const streams = stages as unknown as readonly NodeJS.ReadWriteStream[];
  await pipeline(streams, signal === undefined ? {} : { signal });
}

/** The newest file that an interrupted run built for this plan, if it is still in the work folder, unchanged. */
export async function findBuilt(
  plan: ExportPlan,
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
  return plan.builds.find((build) => build.name === name && build.sha256 === sha256);
}

/** The same plan must give the same rows: the audit table is append-only and the range is closed. */
export function refuseChangedRows(plan: ExportPlan, built: BuiltFile): void {
  const earlier = plan.builds.find((build) => build.plaintextSha256 !== built.plaintextSha256);
  if (earlier === undefined) return;
  throw new Error(
    `export ${plan.exportId}: its rows are not those of its first attempt (CSV SHA-256 ${built.plaintextSha256}, ` +
      `then ${earlier.plaintextSha256}). Audit rows were changed, or another version of the exporter built it; ` +
      "delete its rows in audit_export_builds and audit_export_receipts to accept the present rows",
  );
}
