import { createReadStream } from "node:fs";

const READ_CHUNK_BYTES = 256 * 1024;

/** What is inside a file, as often as it is wanted. */
export interface Content {
  /** All of it, from the beginning; authentic only once it has ended without an error. */
  read(): AsyncIterable<Uint8Array>;
  /** Forgets the keys to it. */
  forget(): void;
}

/** A file that is not sealed. */
export function contentOfFile(path: string): Content {
  return {
    read: () => createReadStream(path, { highWaterMark: READ_CHUNK_BYTES }),
    forget: () => undefined,
  };
}

/** Reads it once, and forgets the keys. */
export async function* readOnce(content: Content): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* content.read();
  } finally {
    content.forget();
  }
}
