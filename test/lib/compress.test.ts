import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdCompress } from "node:zlib";
import { expect, test } from "@jest/globals";
import { compress, decompress } from "../../lib/compress.ts";

const EMPTY_FRAME = "28b52ffd240001000099e9d851";

async function through(
  source: Iterable<Buffer>,
  layers: readonly NodeJS.ReadWriteStream[],
): Promise<Buffer> {
  const out: Buffer[] = [];
  await pipeline([
    Readable.from(source),
    ...layers,
    async (stream: AsyncIterable<Buffer>) => {
      for await (const chunk of stream) out.push(chunk);
    },
  ] as unknown as readonly NodeJS.ReadWriteStream[]);
  return Buffer.concat(out);
}

const PIECES = Array.from({ length: 5 }, (_, at) => Buffer.alloc(700, at));

test("what comes in many small pieces is one frame, so that every reader of Zstandard takes it", async () => {
  const sealed = await through(PIECES, [compress()]);

  expect(sealed.toString("hex").endsWith(EMPTY_FRAME)).toBe(false);
  expect((await through([sealed], decompress())).equals(Buffer.concat(PIECES))).toBe(true);
});

test("files with an empty frame behind the first, as they were made before, are opened wherever they are cut", async () => {
  // Node's compressor begins a second frame when its input ends while pieces wait.
  const content = Buffer.concat(PIECES);
  const frame = await through([content], [createZstdCompress()]);
  const file = Buffer.concat([frame, Buffer.from(EMPTY_FRAME, "hex")]);

  for (let cut = 1; cut < file.length; cut++) {
    const opened = await through([file.subarray(0, cut), file.subarray(cut)], decompress());
    expect(opened.equals(content)).toBe(true);
  }
});

test("what is cut off, or is nothing at all, is an error or nothing", async () => {
  const sealed = await through(PIECES, [compress()]);

  await expect(through([sealed.subarray(0, -5)], decompress())).rejects.toThrow();
  const nothing = await through([], [compress()]);
  expect((await through([nothing], decompress())).length).toBe(0);
});
