import type { Clock } from "../../../clock.ts";
import type { PutInfo } from "../../../storage.ts";
import { partsOf } from "../frame.ts";
import { ServiceFailure } from "../vendor-error.ts";
import { answerMs } from "../pace.ts";
import { withRetries } from "./request.ts";

export interface Chunk {
  /** Where it begins in the file. */
  readonly at: number;
  readonly bytes: Buffer;
  readonly isLast: boolean;
}

/** An upload in several requests, of which the service keeps what has arrived. */
export interface UploadSession<T> {
  /** The answer to the last chunk is the file. */
  send(chunk: Chunk): Promise<T | undefined>;
  /** After a failure: how many bytes the service has, or the file, if it has all of it. */
  progress(chunk: Chunk): Promise<{ readonly bytes: number } | { readonly file: T }>;
  /** Nothing of it shall stay. Failures are nobody's business: every service forgets such uploads after some days. */
  cancel?(signal: AbortSignal): Promise<void>;
}

const CANCEL_MS = 5_000;

/** Sends the pieces in chunks. One that fails in passing goes on where the service stands; the others are not sent again. */
export async function sendChunks<T>(
  pieces: AsyncIterable<Buffer>,
  session: UploadSession<T>,
  options: { readonly chunkBytes: number; readonly info: PutInfo; readonly clock: Clock },
): Promise<T> {
  const { chunkBytes, clock } = options;
  const { signal, onWait } = options.info;
  try {
    for await (const chunk of chunksOf(pieces, chunkBytes)) {
      const file = await withRetries(
        async (failures) => {
          signal.throwIfAborted();
          // Behind a failure the service is asked first how far it is.
          onWait?.(2 * answerMs(chunk.bytes.length));
          return failures === 0 ? session.send(chunk) : sendRest(chunk, session);
        },
        signal,
        clock,
      );
      if (file !== undefined) return file;
    }
    throw new ServiceFailure("unavailable", "the service took everything and made no file of it");
  } catch (error) {
    const cancelled = session.cancel?.(AbortSignal.timeout(CANCEL_MS)).catch(() => undefined);
    if (!signal.aborted) await cancelled; // whoever gives up does not wait
    throw isGone(error)
      ? new ServiceFailure("unavailable", "the upload is no longer known: it begins anew")
      : error;
  }
}

/** The upload, not the place: that was there when the upload began. */
function isGone(error: unknown): boolean {
  return error instanceof ServiceFailure && (error.status === 404 || error.status === 410);
}

async function sendRest<T>(chunk: Chunk, session: UploadSession<T>): Promise<T | undefined> {
  const progress = await session.progress(chunk);
  if ("file" in progress) return progress.file;
  const has = progress.bytes - chunk.at;
  if (has < 0 || has > chunk.bytes.length) {
    const range = `${chunk.at} to ${chunk.at + chunk.bytes.length}`;
    throw new ServiceFailure("refused", `${progress.bytes} bytes where ${range} can be`, {
      status: 410,
    });
  }
  if (has === chunk.bytes.length && !chunk.isLast) return undefined;
  return session.send({ ...chunk, at: progress.bytes, bytes: chunk.bytes.subarray(has) });
}

/**
 * The last chunk is known as such: only it may have any length, and it finishes the file. It is held back until the source has
 * ended well, so that nothing is finished of a source that breaks.
 */
async function* chunksOf(pieces: AsyncIterable<Buffer>, chunkBytes: number): AsyncGenerator<Chunk> {
  let held: Buffer | undefined;
  let at = 0;
  for await (const part of partsOf(pieces, chunkBytes)) {
    if (held !== undefined) {
      yield { at, bytes: held, isLast: false };
      at += held.length;
    }
    held = part;
  }
  yield { at, bytes: held ?? Buffer.alloc(0), isLast: true };
}
