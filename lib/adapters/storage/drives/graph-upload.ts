import { mkdtemp, rm } from "node:fs/promises";
import { createReadStream, createWriteStream } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import type { Clock } from "../../../clock.ts";
import { measure, type PutInfo, type StoredBlob } from "../../../storage.ts";
import { ServiceFailure } from "../vendor-error.ts";
import { answerOf } from "./answer.ts";
import { quickXorHash } from "./hashes.ts";
import type { Send } from "./request.ts";
import { sendChunks, type UploadSession } from "./send-chunks.ts";

/** A multiple of 320 KiB, as the protocol wants it; this much is in memory. */
const CHUNK_BYTES = 24 * 320 * 1024;

export const itemForm = z.object({
  id: z.string().min(1),
  size: z.int().nonnegative(),
  eTag: z.string().optional(),
  file: z
    .object({
      hashes: z
        .object({ quickXorHash: z.string().optional(), sha256Hash: z.string().optional() })
        .optional(),
    })
    .optional(),
});
type Item = z.infer<typeof itemForm>;

export interface Graph {
  readonly send: Send;
  readonly clock: Clock;
  /** @param action such as `/content` */
  readonly itemAt: (path: string, action?: string) => string;
  readonly itemOf: (id: string) => string;
}

/** Uploads and compares the hash that the service worked out: SHA-256 where there is one, else QuickXorHash. */
export async function putItem(
  graph: Graph,
  path: string,
  body: Readable,
  info: PutInfo,
): Promise<Omit<StoredBlob, "location">> {
  if (info.lockedUntil !== undefined)
    throw new ServiceFailure("refused", "Microsoft Graph cannot lock a file");
  const quickXor = quickXorHash();
  const { pieces, content } = measure(body, info, (piece) => {
    quickXor.update(piece);
  });
  const given = await withLength(pieces, info, async (known, bytes) =>
    bytes === 0
      ? createEmpty(graph, path, known, info)
      : upload(graph, path, { pieces: known, bytes }, info),
  );
  const { bytes, sha256 } = content();
  const item = await withHashes(graph, given, info.signal);
  const { sha256Hash, quickXorHash: theirs } = item.file?.hashes ?? {};
  const right =
    item.size === bytes &&
    [sha256, undefined].includes(sha256Hash?.toLowerCase()) &&
    [quickXor.digest(), undefined].includes(theirs);
  if (!right) {
    if (info.ifAbsent === true) await undo(graph, item, info.signal);
    throw new ServiceFailure("corrupt", `the hash of ${path} is not ours`);
  }
  const byQuickXor = theirs === undefined ? "size" : "quickxor";
  const verifiedBy = sha256Hash === undefined ? byQuickXor : "sha256";
  return { bytes, sha256, etag: item.eTag, verifiedBy };
}

/** Each request names the length of the whole: what comes without one waits in a private file until it is known. */
async function withLength<T>(
  pieces: AsyncIterable<Buffer>,
  { expected, signal }: PutInfo,
  work: (pieces: AsyncIterable<Buffer>, bytes: number) => Promise<T>,
): Promise<T> {
  if (expected !== undefined) return work(pieces, expected.bytes);
  const folder = await mkdtemp(join(tmpdir(), "fettle-upload-"));
  try {
    const path = join(folder, "content");
    const file = createWriteStream(path, { flags: "wx", mode: 0o600 });
    await pipeline(pieces, file, { signal });
    return await work(createReadStream(path), file.bytesWritten);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function conflict({ ifAbsent }: PutInfo): "fail" | "replace" {
  return ifAbsent === true ? "fail" : "replace";
}

/** Upload sessions take no empty files. */
async function createEmpty(
  { send, itemAt }: Graph,
  path: string,
  pieces: AsyncIterable<Buffer>,
  info: PutInfo,
): Promise<Item> {
  for await (const piece of pieces)
    if (piece.length > 0) throw new ServiceFailure("corrupt", "more came than was announced");
  const query = `@microsoft.graph.conflictBehavior=${conflict(info)}`;
  const response = await send(`${itemAt(path, "/content")}?${query}`, {
    method: "PUT",
    signal: info.signal,
    headers: { "content-type": info.contentType },
    body: Buffer.alloc(0),
  });
  return answerOf(response, itemForm);
}

const sessionForm = z.object({ uploadUrl: z.url() });

async function upload(
  { send, clock, itemAt }: Graph,
  path: string,
  { pieces, bytes }: { readonly pieces: AsyncIterable<Buffer>; readonly bytes: number },
  info: PutInfo,
): Promise<Item> {
  const { signal } = info;
  const opened = await send(itemAt(path, "/createUploadSession"), {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ item: { "@microsoft.graph.conflictBehavior": conflict(info) } }),
  });
  const { uploadUrl } = await answerOf(opened, sessionForm);
  const session = sessionAt(uploadUrl, bytes, send, signal);
  return sendChunks(pieces, session, { chunkBytes: CHUNK_BYTES, info, clock });
}

const progressForm = z.object({ nextExpectedRanges: z.array(z.string().regex(/^\d+(-\d*)?$/)) });

/** The address is the permission: no token goes there, and it stands in no message. */
function sessionAt(
  address: string,
  total: number,
  send: Send,
  signal: AbortSignal,
): UploadSession<Item> {
  return {
    send: async ({ at, bytes, isLast }) => {
      const response = await send(address, {
        method: "PUT",
        signal,
        isAuthorized: false,
        isRepeatable: false,
        headers: { "content-range": `bytes ${at}-${at + bytes.length - 1}/${total}` },
        body: bytes,
      });
      if (isLast) return answerOf(response, itemForm);
      await answerOf(response, progressForm);
      return undefined;
    },
    progress: async () => {
      const response = await send(address, { method: "GET", signal, isAuthorized: false });
      const { nextExpectedRanges } = await answerOf(response, progressForm);
      return { bytes: Number(nextExpectedRanges[0]?.split("-")[0] ?? total) };
    },
    cancel: async (giveUp) => {
      await send(address, { method: "DELETE", signal: giveUp, isAuthorized: false });
    },
  };
}

/** The answer to an upload may come before the hash is worked out. */
async function withHashes({ send, itemOf }: Graph, item: Item, signal: AbortSignal): Promise<Item> {
  if (item.file?.hashes !== undefined) return item;
  const address = `${itemOf(item.id)}?$select=id,size,eTag,file`;
  return answerOf(await send(address, { method: "GET", signal }), itemForm);
}

/** Only if it is still what we made. */
async function undo(
  { send, itemOf }: Graph,
  { id, eTag }: Item,
  signal: AbortSignal,
): Promise<void> {
  const headers = eTag === undefined ? {} : { "if-match": eTag };
  await send(itemOf(id), { method: "DELETE", signal, headers, accept: [404, 412] });
}
