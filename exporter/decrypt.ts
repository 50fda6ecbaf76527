import { open, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { PrivateKey } from "openpgp";
import { decompress, isCompressed } from "../lib/compress.ts";
import { openEnvelope, safeFileName, type OpenedEnvelope } from "../lib/envelope/open.ts";
import { EnvelopeError } from "../lib/envelope/scan.ts";
import type { KeyWrapper } from "../lib/envelope/types.ts";
import { messageOf } from "../lib/error.ts";
import { createMeter } from "../lib/meter.ts";
import type { Content } from "./content.ts";
import { decryptWith, readPrivateKeysFrom } from "./open-pgp.ts";
import { writeWhole } from "./safe-file.ts";

export interface DecryptRequest {
  readonly file: string;
  readonly pgpPrivateKeyFile?: string | undefined;
  readonly passphrase?: string | undefined;
  /** A file that does not exist yet, or a folder. Without it and `stdout`: beside the input, under its original name. */
  readonly output?: string | undefined;
  readonly stdout?: Writable | undefined;
}

type Layer = "envelope" | "pgp" | "zstd";

export interface DecryptResult {
  readonly opened: readonly Layer[];
  readonly name: string;
  /** Undefined when it went to `stdout`. */
  readonly path: string | undefined;
  readonly bytes: number;
  readonly sha256: string;
  /** What was written is still an OpenPGP message, because no private key was given. */
  readonly stillEncrypted: boolean;
}

export interface DecryptDeps {
  readonly wrappers: readonly KeyWrapper[];
}

/** A file taken apart as far as the keys reach; `streams` makes a fresh chain for each pass over it. */
interface Opened {
  readonly layers: readonly Layer[];
  readonly name: string;
  readonly streams: () => readonly unknown[];
  readonly forget: () => void;
}

const ZSTD_SUFFIX = ".zst";
const PGP_SUFFIX = /(\.[0-9A-F]{16})?\.(gpg|pgp|asc)$/i;

/**
 * Opens an envelope, then the OpenPGP message in it when a private key is given (or an OpenPGP file by itself). Nothing is
 * released before its integrity is proved: a file gets its name at the end, and for `stdout` the input is read twice.
 *
 * @throws EnvelopeError, PgpError with what is wrong; FileExists rather than overwriting
 */
export async function decrypt(request: DecryptRequest, deps: DecryptDeps): Promise<DecryptResult> {
  const keys = await readPgpKeys(request);
  const opened = await openLayers(request, keys, deps);
  try {
    const meter = createMeter();
    const path = request.stdout === undefined ? await targetPath(request, opened.name) : undefined;
    if (path !== undefined) {
      await writeWhole(path, String(process.pid), async (sink) =>
        run([...opened.streams(), meter.stream, sink]),
      );
    } else {
      await run([...opened.streams(), discard()]);
      await run([...opened.streams(), meter.stream, keepOpen(request.stdout)]);
    }
    return {
      opened: opened.layers,
      name: opened.name,
      path,
      bytes: meter.bytes(),
      sha256: meter.sha256(),
      stillEncrypted: PGP_SUFFIX.test(opened.name),
    };
  } finally {
    opened.forget();
  }
}

/** The plaintext of a sealed file, for a check that needs no file of it; undefined when the keys do not open all of it. */
export async function openPlaintext(
  request: DecryptRequest,
  deps: DecryptDeps,
): Promise<Content | undefined> {
  const keys = await readPgpKeys(request);
  const kind = await kindOf(request.file);
  if (kind === "envelope" && deps.wrappers.length === 0) return undefined;
  if (kind === "pgp" && keys.length === 0) return undefined;
  const opened = await openLayers(request, keys, deps);
  if (PGP_SUFFIX.test(opened.name)) {
    opened.forget();
    return undefined;
  }
  return { read: () => streamOf(opened), forget: opened.forget };
}

async function* streamOf({ streams }: Opened): AsyncGenerator<Uint8Array> {
  const pipe = new PassThrough();
  const done = run([...streams(), pipe]);
  done.catch(() => undefined); // reported below, and by the pipe's own error
  yield* pipe;
  await done;
}

async function openLayers(
  request: DecryptRequest,
  keys: readonly PrivateKey[],
  deps: DecryptDeps,
): Promise<Opened> {
  const file = resolve(request.file);
  const kind = await kindOf(file);
  if (kind === "envelope") return decompressed(await openEnvelopeLayers(file, keys, deps));
  if (kind === "pgp" && keys.length === 0) {
    throw new EnvelopeError("this is an OpenPGP file: give a private key");
  }
  const handle = async function* () {
    const source = await open(file, "r");
    yield* source.createReadStream({ highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  };
  const forget = () => undefined;
  if (kind === "zstd") {
    return decompressed({ layers: [], name: basename(file), streams: () => [handle], forget });
  }
  return decompressed({
    layers: ["pgp"],
    name: safeFileName(withoutPgp(basename(file))),
    streams: () => [handle, decryptWith(keys)],
    forget,
  });
}

function decompressed(opened: Opened): Opened {
  if (!opened.name.endsWith(ZSTD_SUFFIX)) return opened;
  return {
    ...opened,
    layers: [...opened.layers, "zstd"],
    name: opened.name.slice(0, -ZSTD_SUFFIX.length),
    streams: () => [...opened.streams(), ...decompress()],
  };
}

async function openEnvelopeLayers(
  file: string,
  keys: readonly PrivateKey[],
  { wrappers }: DecryptDeps,
): Promise<Opened> {
  const envelope = await openEnvelope(file);
  const dek = await unwrapDataKey(envelope, wrappers);
  const opensPgp = keys.length > 0 && PGP_SUFFIX.test(envelope.originalFilename);
  return {
    layers: opensPgp ? ["envelope", "pgp"] : ["envelope"],
    name: opensPgp
      ? safeFileName(withoutPgp(envelope.originalFilename))
      : envelope.originalFilename,
    streams: () => {
      const { base64, decipher } = envelope.decrypt(dek);
      return opensPgp ? [base64, decipher, decryptWith(keys)] : [base64, decipher];
    },
    forget: () => {
      dek.fill(0);
    },
  };
}

async function unwrapDataKey(
  { wrappedKeys, keyIds, contexts }: Pick<OpenedEnvelope, "wrappedKeys" | "keyIds" | "contexts">,
  wrappers: readonly KeyWrapper[],
): Promise<Buffer> {
  const usable = wrappers.filter(({ name }) => wrappedKeys[name] !== undefined);
  const failures: string[] = [];
  for (const wrapper of usable) {
    try {
      return await wrapper.unwrap(
        Buffer.from(wrappedKeys[wrapper.name] ?? "", "base64"),
        keyIds[wrapper.name],
      );
    } catch (error) {
      const said = `${messageOf(error)}${contextHint(contexts[wrapper.name])}`;
      failures.push(usable.length === 1 ? said : `${wrapper.name}: ${said}`);
    }
  }
  if (failures.length > 0) throw new EnvelopeError(failures.join("; "));
  const present = Object.keys(wrappedKeys).join(", ");
  throw new EnvelopeError(
    `no key for this envelope: its data key is wrapped by ${present === "" ? "nobody" : present}` +
      (wrappers.length === 0 ? "; give the local key file" : ""),
  );
}

/** The service says only that the ciphertext is invalid when the context is missing. */
function contextHint(context: Readonly<Record<string, string>> | undefined): string {
  if (context === undefined) return "";
  const pairs = Object.entries(context).map(([name, value]) => `${name}=${value}`);
  return ` (it was wrapped with AWS_KMS_ENCRYPTION_CONTEXT=${pairs.join(",")})`;
}

async function readPgpKeys(request: DecryptRequest): Promise<readonly PrivateKey[]> {
  if (request.pgpPrivateKeyFile === undefined) return [];
  return readPrivateKeysFrom(await readFile(request.pgpPrivateKeyFile), request.passphrase);
}

/** @throws EnvelopeError when it is none of them */
async function kindOf(file: string): Promise<Layer> {
  const handle = await open(file, "r");
  const head = Buffer.alloc(64);
  const { bytesRead } = await handle.read(head, 0, head.length, 0).finally(() => handle.close());
  const start = head.subarray(0, bytesRead).toString("latin1").trimStart();
  if (start.startsWith("{")) return "envelope";
  if (isCompressed(head)) return "zstd";
  const first = head[0] ?? 0;
  const packetTag = (first & 0x40) === 0 ? (first >> 2) & 0x0f : first & 0x3f;
  const isSessionKey = (first & 0x80) !== 0 && packetTag === 1;
  if (isSessionKey || start.startsWith("-----BEGIN PGP MESSAGE")) return "pgp";
  throw new EnvelopeError("neither an envelope nor an OpenPGP message nor Zstandard");
}

function withoutPgp(name: string): string {
  return name.replace(PGP_SUFFIX, "");
}

async function targetPath(request: DecryptRequest, name: string): Promise<string> {
  if (request.output === undefined) return join(dirname(resolve(request.file)), name);
  const isFolder = await stat(request.output).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  return isFolder ? join(resolve(request.output), name) : resolve(request.output);
}

async function run(stages: readonly unknown[]): Promise<void> {
  // The types of the array form know streams only; Node takes async generator functions there as well.
  await pipeline(stages as readonly NodeJS.ReadWriteStream[]);
}

function discard(): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
}

/** Passes on to a stream that is not ours to close, such as the terminal. */
function keepOpen(target: Writable | undefined): Writable {
  return new Writable({
    write: (chunk, _encoding, done) => {
      if (target === undefined) done();
      else target.write(chunk, done);
    },
  });
}
