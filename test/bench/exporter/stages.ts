import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { CopyRows } from "../../../exporter/adapters/copy-rows.ts";
import type { Layer } from "../../../exporter/build.ts";
import { collectBuffers } from "../../../exporter/collect-buffers.ts";
import { copyStatement } from "../../../exporter/csv.ts";
import { PartCutter } from "../../../exporter/cut-parts.ts";
import { LeafEncoder } from "../../../exporter/leaf.ts";
import { encryptTo } from "../../../exporter/pgp.ts";
import { readRecipients } from "../../../exporter/recipients.ts";
import type { RowBatch } from "../../../exporter/types.ts";
import { compress } from "../../../lib/compress.ts";
import { sealEnvelope } from "../../../lib/envelope/seal.ts";
import { MerkleTree } from "../../../lib/merkle.ts";
import { createMeter } from "../../../lib/meter.ts";

// How fast each stage of an export is by itself, with what it is given in memory already, and reading with nothing behind it.

const SAMPLE_BATCHES = 400;
const NO_HEAD = { originalFilename: "bench", exportId: "bench", wrappedKeys: {}, keyIds: {} };

/** @returns megabytes of CSV a second, by stage */
export async function measureStages(
  databaseUrl: string,
  publicKeyFile: string,
): Promise<ReadonlyMap<string, number>> {
  const rates = new Map<string, number>();
  const sample: Buffer[] = [];
  rates.set("read rows", await readRows(databaseUrl, sample));
  const sources = [{ from: publicKeyFile, content: await readFile(publicKeyFile) }];
  const recipients = await readRecipients(sources, new Date());
  const layers: readonly (readonly [string, () => Layer])[] = [
    ["hash (SHA-256)", () => createMeter().stream],
    ["zstd", compress],
    ["OpenPGP", () => encryptTo(recipients)],
    ["envelope", () => sealEnvelope({ ...NO_HEAD, created: new Date() }, randomBytes(32))],
  ];
  for (const [name, layer] of layers) rates.set(name, await through(sample, layer()));
  rates.set("tree over the rows", hashRows(sample));
  return rates;
}

/** Reads all rows and drops them, but for the first, which are the sample. */
async function readRows(databaseUrl: string, sample: Buffer[]): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query("SET timezone = 'UTC'");
    const range = { after: undefined, horizonXid: String(2n ** 62n) };
    const rows = new CopyRows(copyStatement(range, "off", "UTF8"), 600_000);
    const cutter = new PartCutter(rows as AsyncIterable<RowBatch>, Number.POSITIVE_INFINITY);
    const start = performance.now();
    client.query(rows);
    let bytes = 0;
    for await (const csv of cutter.part()) {
      bytes += csv.length;
      if (sample.length < SAMPLE_BATCHES) sample.push(csv);
    }
    return rate(bytes, start);
  } finally {
    await client.end();
  }
}

async function through(sample: readonly Buffer[], layer: Layer): Promise<number> {
  const collect = collectBuffers();
  async function* source(): AsyncGenerator<Buffer> {
    for (const chunk of sample) {
      collect(chunk.length);
      yield await Promise.resolve(chunk);
    }
  }
  const nowhere = new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const start = performance.now();
  const stages = [source(), layer, nowhere] as unknown as readonly NodeJS.ReadWriteStream[];
  await pipeline(stages);
  return rate(bytesOf(sample), start);
}

/** What the row thread does; the first of the sample is the header. */
function hashRows(sample: readonly Buffer[]): number {
  const tree = new MerkleTree();
  const leaves = new LeafEncoder("off", (marked) => {
    tree.appendMarked(marked);
  });
  const start = performance.now();
  for (const csv of sample.slice(1)) {
    for (let at = 0; at < csv.length;) {
      at = leaves.scan(csv, at);
      leaves.take();
    }
  }
  return rate(bytesOf(sample), start);
}

function bytesOf(sample: readonly Buffer[]): number {
  return sample.reduce((sum, { length }) => sum + length, 0);
}

function rate(bytes: number, start: number): number {
  return bytes / 1e3 / (performance.now() - start);
}
