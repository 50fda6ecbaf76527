import type SftpClient from "ssh2-sftp-client";
import { collectBuffers } from "../collect-buffers.ts";

/** What ssh2-sftp-client stands on. */
export type SftpWrapper = Awaited<ReturnType<SftpClient["connect"]>>;

type Handle = Buffer;

/** Below OpenSSH's limit of one request; for servers with a lower one ssh2 cuts it. With 32 KiB the rate is a third less (measured). */
const REQUEST_BYTES = 250 * 1024;
/** Requests under way at once, 4 MiB: one after the other, the way there and back is most of the time (measured). */
const REQUESTS_MAX = 16;

/** While a server puts a file on its disk it says nothing: so long whatever its size, ... */
const SETTLE_MS = 120_000;
/** ... and for what a slow disk, or one over a network, writes in a millisecond: 1 MB/s. */
const SETTLE_BYTES_PER_MS = 1_000;

/** So long a server may take to put so many bytes on its disk. */
export function settleMs(bytes: number): number {
  return SETTLE_MS + bytes / SETTLE_BYTES_PER_MS;
}

/**
 * Creates the file and fills it. On a failure it is there in part.
 *
 * @param onWait told how long the server may be silent from now on; undefined: as long as usual
 * @throws what the server said, or when the name is in use
 */
export async function writeRemote(
  sftp: SftpWrapper,
  path: string,
  mode: number,
  source: AsyncIterable<Buffer>,
  onWait: (ms: number | undefined) => void,
): Promise<void> {
  const handle = await open(sftp, path, "wx", mode);
  let position = 0;
  try {
    const underWay: Promise<void>[] = [];
    const collect = collectBuffers();
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length; at += REQUEST_BYTES) {
        const piece = chunk.subarray(at, at + REQUEST_BYTES);
        const written = write(sftp, handle, piece, position);
        written.catch(() => undefined); // told by whoever waits for it below
        underWay.push(written);
        position += piece.length;
        if (underWay.length >= REQUESTS_MAX) await underWay.shift();
      }
      collect(chunk.length);
    }
    await Promise.all(underWay);
    onWait(settleMs(position));
    await sync(sftp, handle);
  } catch (error) {
    await close(sftp, handle).catch(() => undefined);
    throw error;
  }
  // Some servers write only now, or find only now that their disk is full.
  await close(sftp, handle);
  onWait(undefined);
}

/** The file's bytes in order. */
export async function* readRemote(sftp: SftpWrapper, path: string): AsyncGenerator<Buffer> {
  const handle = await open(sftp, path, "r");
  try {
    const size = await sizeOf(sftp, handle);
    const underWay: Promise<Buffer>[] = [];
    const collect = collectBuffers();
    for (let position = 0; position < size || underWay.length > 0;) {
      while (position < size && underWay.length < REQUESTS_MAX) {
        const bytes = Math.min(REQUEST_BYTES, size - position);
        const piece = read(sftp, handle, position, bytes);
        piece.catch(() => undefined);
        underWay.push(piece);
        position += bytes;
      }
      const next = await underWay.shift();
      if (next === undefined) continue;
      yield next;
      collect(next.length);
    }
  } finally {
    await close(sftp, handle).catch(() => undefined); // nothing hangs on it
  }
}

async function open(
  sftp: SftpWrapper,
  path: string,
  flags: "wx" | "r",
  mode?: number,
): Promise<Handle> {
  return new Promise((resolve, reject) => {
    sftp.open(path, flags, mode ?? 0o600, (error, handle) => {
      if (error === undefined) resolve(handle);
      else reject(error);
    });
  });
}

async function write(sftp: SftpWrapper, handle: Handle, piece: Buffer, position: number) {
  return new Promise<void>((resolve, reject) => {
    sftp.write(handle, piece, 0, piece.length, position, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}

/** A server may give less than it was asked for: the rest is asked for again. */
async function read(
  sftp: SftpWrapper,
  handle: Handle,
  position: number,
  bytes: number,
): Promise<Buffer> {
  const piece = Buffer.allocUnsafe(bytes);
  for (let got = 0; got < bytes;) {
    const more = await readSome(sftp, handle, piece.subarray(got), position + got);
    if (more === 0) throw new Error("the file ends before its size");
    got += more;
  }
  return piece;
}

async function readSome(
  sftp: SftpWrapper,
  handle: Handle,
  into: Buffer,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    sftp.read(handle, into, 0, into.length, position, (error, bytesRead) => {
      if (error === undefined) resolve(bytesRead);
      else reject(error);
    });
  });
}

async function sizeOf(sftp: SftpWrapper, handle: Handle): Promise<number> {
  return new Promise((resolve, reject) => {
    sftp.fstat(handle, (error, stats) => {
      if (error === undefined) resolve(stats.size);
      else reject(error);
    });
  });
}

/** SSH_FX_OP_UNSUPPORTED. */
const UNSUPPORTED = 8;

/** OpenSSH's extension; servers without it write through or do not, as they like. */
async function sync(sftp: SftpWrapper, handle: Handle): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: (Error & { readonly code?: unknown }) | undefined) => {
      if (error === undefined || error.code === UNSUPPORTED) resolve();
      else reject(error);
    };
    try {
      sftp.ext_openssh_fsync(handle, done);
    } catch {
      resolve(); // it did not name the extension when it was greeted
    }
  });
}

async function close(sftp: SftpWrapper, handle: Handle): Promise<void> {
  return new Promise((resolve, reject) => {
    sftp.close(handle, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}
