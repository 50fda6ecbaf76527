import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { sha256Hex } from "../../lib/canonical.ts";
import type { CollectionIndex, StepReport } from "../types/collect.ts";
import { cutText, type CollectedFile } from "./files.ts";
import { tar } from "./tar.ts";

/** A bundle: `.tar.gz` with its index in front. */
export interface Bundle {
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly index: CollectionIndex;
}

export interface Gathered {
  readonly run: string;
  readonly runbook: string;
  readonly target: string;
  readonly at: Date;
  readonly steps: readonly StepReport[];
  readonly files: readonly CollectedFile[];
}

/** What the database keeps of a bundle. */
export const HELD_BYTES_MAX = 256 * 1024;
const FILE_BYTES_MIN = 1024;

export async function pack(gathered: Gathered, cut = false): Promise<Bundle> {
  const { run, runbook, target, at, steps, files } = gathered;
  const index: CollectionIndex = {
    version: 1,
    run,
    runbook,
    target,
    gathered_at: at.toISOString(),
    cut,
    steps,
    files: files.map(({ name, step, content, cut: isCut }) => ({
      name,
      step,
      bytes: content.length,
      sha256: sha256Hex(content),
      cut: isCut,
    })),
  };
  const first = fileOf("index.json", `${JSON.stringify(index, null, 2)}\n`);
  const bytes = await gzip(tar([first, ...files], at));
  return { bytes, sha256: sha256Hex(bytes), index };
}

/** The same with its files cut until the database can keep it. */
export async function packExcerpt(gathered: Gathered): Promise<Bundle> {
  const longest = Math.max(...gathered.files.map(({ content }) => content.length), 0);
  for (let bytesMax = longest / 2; bytesMax >= FILE_BYTES_MIN; bytesMax /= 2) {
    const bundle = await pack(cutFiles(gathered, Math.floor(bytesMax)), true);
    if (bundle.bytes.length <= HELD_BYTES_MAX) return bundle;
  }
  return pack({ ...gathered, files: [] }, true); // hundreds of files: what there was is in the steps
}

function cutFiles(gathered: Gathered, bytesMax: number): Gathered {
  const files = gathered.files.map((file) =>
    file.content.length <= bytesMax
      ? file
      : { ...file, content: cutText(file.content, { bytesMax, tail: file.tail }), cut: true },
  );
  return { ...gathered, files };
}

function fileOf(name: string, text: string): CollectedFile {
  return { name, step: "alert", content: Buffer.from(text), cut: false, tail: false };
}

async function gzip(pieces: Iterable<Buffer>): Promise<Buffer> {
  const packed: Buffer[] = [];
  await pipeline(pieces, createGzip(), async (zipped: AsyncIterable<Buffer>) => {
    for await (const piece of zipped) packed.push(piece);
  });
  return Buffer.concat(packed);
}
