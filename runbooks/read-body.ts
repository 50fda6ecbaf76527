import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate } from "node:zlib";
import type { Request } from "express";
import { hasCode } from "../lib/error.ts";
import { failpoint } from "../lib/failpoint.ts";
import { HttpProblem } from "../lib/problem.ts";
import type { Load } from "./overload.ts";

type Unpack = (packed: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const UNPACK: ReadonlyMap<string, Unpack> = new Map<string, Unpack>([
  ["identity", async (body) => body],
  ["gzip", promisify(gunzip)],
  ["deflate", promisify(inflate)],
  ["br", promisify(brotliDecompress)],
]);

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
    request.resume(); // a sender that still writes must come to read the answer
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
  try {
    const packed = await collect(request, limit, hold);
    if (encoding === "identity") return packed;
    const raw = await unpack(packed, { maxOutputLength: limit });
    hold(raw.length);
    return raw;
  } catch (error) {
    if (error instanceof HttpProblem || error instanceof NoRoom) throw error;
    if (hasCode(error, "ERR_BUFFER_TOO_LARGE")) throw tooLarge(limit);
    throw new HttpProblem(400, "Unreadable body", `It ended early, or it is not ${encoding}.`);
  }
}

async function collect(request: Request, limit: number, hold: Hold): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The default would destroy the connection on a throw, and with it the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limit) throw tooLarge(limit);
    hold(chunk.length);
    chunks.push(chunk);
    await failpoint("reading-body");
  }
  return Buffer.concat(chunks);
}

function tooLarge(limit: number): HttpProblem {
  return new HttpProblem(413, "Body too large", `At most ${limit} bytes are read.`);
}
