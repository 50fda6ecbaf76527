import { open, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { PrivateKey } from "openpgp";
import { createMeter } from "./meter.ts";
import { openEnvelope, safeFileName } from "./open-envelope.ts";
import { decryptWith, readPrivateKeysFrom } from "./open-pgp.ts";
import { writeWhole } from "./safe-file.ts";
import { EnvelopeError } from "./scan-envelope.ts";
import type { KeyWrapper } from "./types.ts";

export interface DecryptRequest {
  readonly file: string;
  readonly localKeyFile?: string | undefined;
  readonly pgpPrivateKeyFile?: string | undefined;
  readonly passphrase?: string | undefined;
  /** A file that does not exist yet, or a folder. Without it and `stdout`: beside the input, under its original name. */
  readonly output?: string | undefined;
  readonly stdout?: Writable | undefined;
}

export interface DecryptResult {
  readonly opened: readonly ("envelope" | "pgp")[];
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
  readonly layers: readonly ("envelope" | "pgp")[];
  readonly name: string;
  readonly streams: () => readonly unknown[];
  readonly forget: () => void;
}

const PGP_SUFFIX = /\.(gpg|pgp|asc)$/i;

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

async function openLayers(
  request: DecryptRequest,
  keys: readonly PrivateKey[],
  deps: DecryptDeps,
): Promise<Opened> {
  const file = resolve(request.file);
  if ((await kindOf(file)) === "envelope") return openEnvelopeLayers(file, keys, deps);
  if (keys.length === 0) throw new EnvelopeError("this is an OpenPGP file: give a private key");
  const handle = async function* () {
    const source = await open(file, "r");
    yield* source.createReadStream({ highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  };
  return {
    layers: ["pgp"],
    name: safeFileName(withoutPgp(basename(file))),
    streams: () => [handle, decryptWith(keys)],
    forget: () => undefined,
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
  { wrappedKeys, keyIds }: { wrappedKeys: Record<string, string>; keyIds: Record<string, string> },
  wrappers: readonly KeyWrapper[],
): Promise<Buffer> {
  const wrapper = wrappers.find(({ name }) => wrappedKeys[name] !== undefined);
  if (wrapper === undefined) {
    const present = Object.keys(wrappedKeys).join(", ");
    throw new EnvelopeError(
      `no key for this envelope: its data key is wrapped by ${present === "" ? "nobody" : present}` +
        (wrappers.length === 0 ? "; give the local key file" : ""),
    );
  }
  const expected = keyIds[wrapper.name];
  if (expected !== undefined && expected !== wrapper.id) {
    throw new EnvelopeError(
      `wrong key: the envelope wants ${expected}, the key given is ${wrapper.id}`,
    );
  }
  return wrapper.unwrap(Buffer.from(wrappedKeys[wrapper.name] ?? "", "base64"));
}

async function readPgpKeys(request: DecryptRequest): Promise<readonly PrivateKey[]> {
  if (request.pgpPrivateKeyFile === undefined) return [];
  return readPrivateKeysFrom(await readFile(request.pgpPrivateKeyFile), request.passphrase);
}

/** @throws EnvelopeError when it is neither */
async function kindOf(file: string): Promise<"envelope" | "pgp"> {
  const handle = await open(file, "r");
  const head = Buffer.alloc(64);
  const { bytesRead } = await handle.read(head, 0, head.length, 0).finally(() => handle.close());
  const start = head.subarray(0, bytesRead).toString("latin1").trimStart();
  if (start.startsWith("{")) return "envelope";
  const first = head[0] ?? 0;
  const packetTag = (first & 0x40) === 0 ? (first >> 2) & 0x0f : first & 0x3f;
  const isSessionKey = (first & 0x80) !== 0 && packetTag === 1;
  if (isSessionKey || start.startsWith("-----BEGIN PGP MESSAGE")) return "pgp";
  throw new EnvelopeError("neither an envelope nor an OpenPGP message");
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
