import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { connect, type Socket } from "node:net";
import { posix } from "node:path";
import { pipeline } from "node:stream/promises";
import type SftpClient from "ssh2-sftp-client";
import { messageOf } from "../../lib/error.ts";
import { createMeter } from "../../lib/meter.ts";
import { DestinationError, nameTaken } from "../destination-error.ts";
import { writeWhole } from "../safe-file.ts";
import type { Parcel, Destination, Receipt, Verification } from "../types.ts";
import { fingerprintOf, isExpectedHostKey, type HostKeyPins } from "./host-key.ts";
import { useKeyObjects } from "./sftp-keys.ts";
import { loginOptions, type Credentials } from "./sftp-login.ts";
import { readRemote, writeRemote, type SftpWrapper } from "./sftp-transfer.ts";

export interface SftpOptions extends Credentials {
  readonly host: string;
  readonly port: number;
  readonly remoteDir: string;
  readonly verify: "size" | "sha256" | "off";
  readonly hostKeys: HostKeyPins;
}

const NAME = "sftp";
const READY_TIMEOUT_MS = 10_000;
/** No byte in either direction for this long: the server hangs, and the connection is cut. It has longer for {@link settleMs}. */
const STALL_TIMEOUT_MS = 30_000;
const READ_CHUNK_BYTES = 256 * 1024;
const OWNER_ONLY = 0o600;

interface Session {
  readonly client: SftpClient;
  /** How long the server may be silent from now on; undefined: as long as usual. */
  readonly allowSilence: (ms: number | undefined) => void;
  readonly wrapper: SftpWrapper;
}

/** An SFTP server whose host key is pinned. Files appear under their name only when complete; nothing is overwritten. */
export function sftpDestination(options: SftpOptions): Destination {
  const remotePath = (name: string) => posix.join(options.remoteDir, name);
  return {
    name: NAME,
    has: async (name, signal) =>
      withSession(options, signal, async ({ client }) => isThere(client, remotePath(name))),
    download: async (name, path, signal) =>
      // The session inside the file: however the session ends, the file is closed after it and taken away.
      writeWhole(path, String(process.pid), async (sink) =>
        withSession(options, signal, async ({ wrapper }) =>
          pipeline(readRemote(wrapper, remotePath(name)), sink),
        ),
      ),
    list: async (prefix, signal) =>
      withSession(options, signal, async ({ client }) => {
        if (!(await isThere(client, options.remoteDir))) return [];
        const names = (await client.list(options.remoteDir)).map(({ name }) => name);
        return names.filter((name) => name.startsWith(prefix));
      }),
    remove: async (name, signal) =>
      withSession(options, signal, async ({ client }) => {
        await client.delete(remotePath(name), true);
      }),
    upload: async (parcel, signal) =>
      withSession(options, signal, async (session) => {
        const path = remotePath(parcel.name);
        const adopted = !(await create(session, path, parcel, options.verify));
        const { verifiedBy, sha256 } = adopted
          ? await verifyAdopted(session, path, parcel)
          : await verifyCreated(session, path, parcel, options.verify);
        return receiptOf(options, parcel, path, { verifiedBy, sha256, adopted });
      }),
  };
}

function receiptOf(
  { host, port }: SftpOptions,
  parcel: Parcel,
  path: string,
  seen: { sha256: string; verifiedBy: Verification; adopted: boolean },
): Receipt {
  return {
    destination: NAME,
    name: parcel.name,
    location: `sftp://${host}:${port}${posix.join("/", path)}`,
    bytes: parcel.bytes,
    ...seen,
  };
}

/** Uploads to a hidden name and renames. False when the name was in use. */
async function create(
  { client, wrapper, allowSilence }: Session,
  path: string,
  parcel: Parcel,
  verify: SftpOptions["verify"],
): Promise<boolean> {
  if (await isThere(client, path)) return false;
  const hidden = `.${parcel.name}.${parcel.exportId}.part`;
  const temporary = posix.join(posix.dirname(path), hidden);
  await client.delete(temporary, true); // left by a killed run of this very export
  const source = createReadStream(parcel.path, { highWaterMark: READ_CHUNK_BYTES });
  try {
    // Reading it back would find that too; nothing else would.
    const content = verify === "sha256" ? (source as AsyncIterable<Buffer>) : whole(source, parcel);
    await writeRemote(wrapper, temporary, OWNER_ONLY, content, allowSilence);
    // Not posix-rename: the plain one fails when the name has been taken meanwhile, so it is the conditional create.
    await client.rename(temporary, path);
    return true;
  } catch (error) {
    // On a server that is full half a file keeps the room that the others need.
    await client.delete(temporary, true).catch(() => undefined);
    if (await isThere(client, path)) return false;
    throw error;
  } finally {
    source.destroy();
  }
}

/** @throws DestinationError at the end of a file that is not what was built: a disk may have spoilt it since */
async function* whole(
  source: AsyncIterable<Buffer>,
  { path, sha256 }: Parcel,
): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash("sha256");
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest("hex") !== sha256)
    throw new DestinationError(NAME, `${path} is not what was built; it was not sent`);
}

async function isThere(client: SftpClient, path: string): Promise<boolean> {
  return (await client.exists(path)) !== false;
}

async function verifyCreated(
  session: Session,
  path: string,
  parcel: Parcel,
  how: SftpOptions["verify"],
): Promise<{ verifiedBy: Verification; sha256: string }> {
  if (how === "off") return { verifiedBy: "not-verified", sha256: parcel.sha256 };
  if (how === "size") {
    const { size } = await session.client.stat(path);
    if (size === parcel.bytes) return { verifiedBy: "size-only", sha256: parcel.sha256 };
    throw new DestinationError(NAME, `${path} has ${size} bytes there, not ${parcel.bytes}`);
  }
  const sha256 = await readBack(session, path);
  if (sha256 === parcel.sha256) return { verifiedBy: "read-back-sha256", sha256 };
  throw new DestinationError(NAME, `${path} reads back as other bytes than were sent`);
}

/** Whatever SFTP_VERIFY says: taking a foreign file for ours would lose the export. */
async function verifyAdopted(
  session: Session,
  path: string,
  parcel: Parcel,
): Promise<{ verifiedBy: Verification; sha256: string }> {
  const sha256 = await readBack(session, path);
  if (!parcel.knownSha256.has(sha256)) throw nameTaken(NAME, path);
  return { verifiedBy: "read-back-sha256", sha256 };
}

async function readBack({ wrapper }: Session, path: string): Promise<string> {
  const meter = createMeter();
  meter.stream.resume();
  await pipeline(readRemote(wrapper, path), meter.stream);
  return meter.sha256();
}

async function withSession<T>(
  options: SftpOptions,
  signal: AbortSignal | undefined,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const { default: Client } = await import("ssh2-sftp-client");
  const quiet = () => undefined; // the defaults print to the console; each operation reports its own failure
  const client = new Client("fettle", { error: quiet, end: quiet, close: quiet });
  const socket = openSocket(options, signal);
  // The library may wait for ever when the connection breaks at an awkward moment; the socket's end ends everything.
  const broken = new Promise<never>((_, reject) => {
    socket.once("error", reject);
    socket.once("close", () => {
      reject(new Error("the server closed the connection"));
    });
  });
  broken.catch(() => undefined); // the orderly end also closes the socket
  const host = { seen: undefined as string | undefined };
  try {
    return await Promise.race([startAndWork(client, socket, options, host, work), broken]);
  } catch (cause) {
    throw describe(cause, options, host.seen, signal);
  } finally {
    await Promise.race([client.end().catch(() => undefined), broken.catch(() => undefined)]);
    socket.destroy();
  }
}

async function startAndWork<T>(
  client: SftpClient,
  socket: Socket,
  options: SftpOptions,
  host: { seen: string | undefined },
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const wrapper = await client.connect({
    sock: socket,
    ...loginOptions(options),
    readyTimeout: READY_TIMEOUT_MS,
    hostVerifier: (key: Buffer) => {
      if (isExpectedHostKey(key, options, options.hostKeys)) return true;
      host.seen = fingerprintOf(key);
      return false;
    },
  });
  useKeyObjects(client);
  const allowSilence = (ms = STALL_TIMEOUT_MS) => socket.setTimeout(ms);
  return work({ client, wrapper, allowSilence });
}

function openSocket({ host, port }: SftpOptions, signal: AbortSignal | undefined): Socket {
  // Our own socket, because the library leaves Nagle's algorithm on: 4 MB/s against 156 on loopback.
  const socket = connect({ host, port, noDelay: true });
  socket.setTimeout(STALL_TIMEOUT_MS, () => {
    const ms = socket.timeout ?? STALL_TIMEOUT_MS; // while a file goes to the disk it is more
    socket.destroy(new Error(`no byte in ${Math.round(ms / 1000)} s`));
  });
  const abort = () => {
    socket.destroy(new Error("the export was stopped"));
  };
  signal?.addEventListener("abort", abort, { once: true });
  socket.once("close", () => {
    signal?.removeEventListener("abort", abort);
  });
  return socket;
}

function describe(
  cause: unknown,
  { host, port }: SftpOptions,
  unexpectedHostKey: string | undefined,
  signal: AbortSignal | undefined,
): unknown {
  if (cause instanceof DestinationError || signal?.aborted === true) return cause;
  if (unexpectedHostKey !== undefined) {
    return new DestinationError(
      NAME,
      `${host}:${port} shows host key ${unexpectedHostKey}, which is not pinned; nothing was sent`,
      { cause },
    );
  }
  const reason = messageOf(cause);
  return new DestinationError(NAME, `${host}:${port}: ${reason}`, { cause });
}
