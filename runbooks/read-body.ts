import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate } from "node:zlib";
import type { Request } from "express";
import { hasCode } from "../lib/error.ts";
import { HttpProblem } from "../lib/problem.ts";

type Unpack = (packed: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const UNPACK: ReadonlyMap<string, Unpack> = new Map<string, Unpack>([
  ["identity", async (body) => body],
  ["gzip", promisify(gunzip)],
  ["deflate", promisify(inflate)],
  ["br", promisify(brotliDecompress)],
]);

/**
 * Reads a request's body and unpacks it. The limit counts the bytes before and after, so a bomb ends in 413 as well. What
 * comes after the limit is thrown away: express.raw answers only when the last byte of the refused body is in.
 *
 * @throws HttpProblem 400, 413 or 415
 */
export async function readBody(request: Request, limit: number): Promise<Buffer> {
  const encoding = request.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  const unpack = UNPACK.get(encoding);
  try {
    if (unpack === undefined) throw new HttpProblem(415, "Unsupported content encoding", encoding);
    if (Number(request.get("content-length") ?? 0) > limit) throw tooLarge(limit);
    return await unpack(await collect(request, limit), { maxOutputLength: limit });
  } catch (error) {
    request.resume(); // a sender that still writes must come to read the answer
    if (error instanceof HttpProblem) throw error;
    if (hasCode(error, "ERR_BUFFER_TOO_LARGE")) throw tooLarge(limit);
    throw new HttpProblem(400, "Unreadable body", `It ended early, or it is not ${encoding}.`);
  }
}

async function collect(request: Request, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The default would destroy the connection on a throw, and with it the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(limit: number): HttpProblem {
  return new HttpProblem(413, "Body too large", `At most ${limit} bytes are read.`);
}
