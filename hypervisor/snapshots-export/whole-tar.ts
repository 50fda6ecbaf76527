/** A tar ends with two empty blocks. */
const END_BYTES = 1024;
const BLOCK_BYTES = 512;

/** Passes a tar on, and fails at its end when it breaks off: an engine that dies may close its answer as if it were whole. */
export async function* wholeTar(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let bytes = 0;
  let end = Buffer.alloc(0);
  for await (const part of stream) {
    const piece = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    if (piece.length === 0) continue;
    bytes += piece.length;
    end = Buffer.concat([end, piece.subarray(-END_BYTES)]).subarray(-END_BYTES);
    yield piece;
  }
  const isWhole =
    bytes % BLOCK_BYTES === 0 && end.length === END_BYTES && end.every((b) => b === 0);
  if (!isWhole) throw new Error(`the snapshot's tar breaks off after ${bytes} bytes`);
}

/** Says when nothing has come for so long; while the reader is slow it does not count. */
export async function* unlessSilent(
  stream: AsyncIterable<Uint8Array>,
  ms: number,
  onSilence: () => void,
): AsyncGenerator<Uint8Array> {
  let timer = setTimeout(onSilence, ms);
  try {
    for await (const piece of stream) {
      clearTimeout(timer);
      yield piece;
      timer = setTimeout(onSilence, ms);
    }
  } finally {
    clearTimeout(timer);
  }
}
