import type { Transform } from "node:stream";
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  type BrotliOptions,
  type ZlibOptions,
} from "node:zlib";
import type { Request } from "express";
import { failpoint } from "../lib/failpoint.ts";
import { HttpProblem } from "../lib/problem.ts";
import type { Load } from "./overload.ts";

type Unpack = (options: ZlibOptions & BrotliOptions) => Transform;

const UNPACK: ReadonlyMap<string, Unpack | "nothing"> = new Map<string, Unpack | "nothing">([
  ["identity", "nothing"],
  ["gzip", createGunzip],
  ["deflate", createInflate],
  ["br", createBrotliDecompress],
]);
const UNPACKED_CHUNK_BYTES = 64 * 1024;

/** A body that is in memory until its bytes are given back. */
export interface Body {
  readonly raw: Buffer;
  readonly heldBytes: number;
}

/**
 * Reads a request's body and unpacks it. The limit counts the bytes before and after, so a bomb ends in 413 as well. What
 * comes after the limit is thrown away: express.raw answers only when the last byte of the refused body is in.
 *
 * @param load its bytes are taken as they come; the caller gives them back
 * @returns "no room" when other bodies have taken all; then none are held
 * @throws HttpProblem 400, 413 or 415
 */
export async function readBody(
  request: Request,
  limit: number,
  load: Pick<Load, "take" | "give">,
): Promise<Body | "no room"> {
  let heldBytes = 0;
  const hold = (bytes: number) => {
    if (!load.take(bytes)) throw new NoRoom();
    heldBytes += bytes;
  };
  try {
    const raw = await readAll(request, limit, hold);
    return { raw, heldBytes };
  } catch (error) {
    load.give(heldBytes);
    request.on("data", free).resume(); // a sender that still writes must come to read the answer
    if (error instanceof NoRoom) return "no room";
    throw error;
  }
}

class NoRoom extends Error {
  override readonly name = "NoRoom";
}

type Hold = (bytes: number) => void;

async function readAll(request: Request, limit: number, hold: Hold): Promise<Buffer> {
  const encoding = request.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  const unpack = UNPACK.get(encoding);
  if (unpack === undefined) throw new HttpProblem(415, "Unsupported content encoding", encoding);
  if (Number(request.get("content-length") ?? 0) > limit) throw tooLarge(limit);
  // The default would destroy the connection on a throw, and with it the answer.
  const incoming = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Chunk>;
  try {
    const packed = await collect(incoming, limit, hold);
    if (unpack === "nothing") return packed;
    const unpacked = () => unpack({ chunkSize: UNPACKED_CHUNK_BYTES }).end(packed);
    await measure(unpacked(), limit);
    return await collect(unpacked(), limit, hold);
  } catch (error) {
    if (error instanceof HttpProblem || error instanceof NoRoom) throw error;
    throw new HttpProblem(400, "Unreadable body", `It ended early, or it is not ${encoding}.`);
  }
}

type Chunk = Buffer<ArrayBuffer>;

/** Unpacks it without keeping anything, so that a bomb costs time for the limit's bytes and no memory. */
async function measure(source: AsyncIterable<Chunk>, limit: number): Promise<void> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    free(chunk);
    if (bytes > limit) throw tooLarge(limit);
  }
}

async function collect(source: AsyncIterable<Chunk>, limit: number, hold: Hold): Promise<Buffer> {
  const chunks: Chunk[] = [];
  let bytes = 0;
  try {
    for await (const chunk of source) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > limit) throw tooLarge(limit);
      hold(chunk.length);
      await failpoint("reading-body");
    }
    return Buffer.concat(chunks);
  } finally {
    chunks.forEach(free);
  }
}

/**
 * Gives the memory of a chunk back at once. V8 lets up to 64 MiB of dead buffers lie before it looks for them, so that a few
 * refused bodies would cost more than the limit. A chunk that fills its buffer is the only one in it, and nobody writes to it any
 * more: Node's parser copies each into a buffer of its own, and zlib takes a new one when one is full. Any other is left to V8.
 */
function free(chunk: Chunk): void {
  if (chunk.byteLength === chunk.buffer.byteLength) chunk.buffer.transfer(0);
}

function tooLarge(limit: number): HttpProblem {
  return new HttpProblem(413, "Body too large", `At most ${limit} bytes are read.`);
}
