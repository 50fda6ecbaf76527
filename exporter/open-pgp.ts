import { decrypt, decryptKey, readMessage, readPrivateKeys, type PrivateKey } from "openpgp";
import { Patience } from "./patience.ts";

/** The message cannot be opened with the given keys, or was changed on its way. */
class PgpError extends Error {
  override readonly name = "PgpError";
}

type Stage = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Buffer>;

/**
 * Reads private keys (armored or binary) and unlocks them.
 *
 * @throws PgpError when there is no private key, or the passphrase is missing or wrong
 */
export async function readPrivateKeysFrom(
  content: Buffer,
  passphrase: string | undefined,
): Promise<readonly PrivateKey[]> {
  const keys = await parsePrivateKeys(content);
  return Promise.all(keys.map(async (key) => unlock(key, passphrase)));
}

async function parsePrivateKeys(content: Buffer): Promise<readonly PrivateKey[]> {
  const text = content.toString("latin1");
  try {
    const keys = text.includes("-----BEGIN PGP")
      ? await readPrivateKeys({ armoredKeys: text })
      : await readPrivateKeys({ binaryKeys: content });
    if (keys.length > 0) return keys;
  } catch (cause) {
    throw new PgpError("the key file holds no readable PGP private key", { cause });
  }
  throw new PgpError("the key file holds no PGP private key");
}

async function unlock(key: PrivateKey, passphrase: string | undefined): Promise<PrivateKey> {
  if (key.isDecrypted()) return key;
  const fingerprint = key.getFingerprint().toUpperCase();
  if (passphrase === undefined) {
    throw new PgpError(`the private key ${fingerprint} is locked and no passphrase was given`);
  }
  try {
    return await decryptKey({ privateKey: key, passphrase });
  } catch (cause) {
    throw new PgpError(`the passphrase does not open the private key ${fingerprint}`, { cause });
  }
}

/**
 * A stage that decrypts an OpenPGP message in constant memory. What it yields is authentic only once it has ended without
 * an error: the integrity check stands at the message's end, so the caller must hold the output back until then.
 */
export function decryptWith(keys: readonly PrivateKey[]): Stage {
  return async function* openPgp(source) {
    const { armored, stream } = await sniffArmor(source);
    // Some of what garbage decrypts to looks to the library like a packet whose end it waits for, for ever.
    const patience = new Patience(() => new Error("the message does not end"));
    const told = tellingEnd(stream, patience);
    const decrypted = await startDecryption(keys, armored, told, patience);
    const pieces = decrypted[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next: IteratorResult<Uint8Array, unknown> = await patience.for(pieces.next());
        if (next.done === true) return;
        const { value: piece } = next;
        yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      }
    } catch (cause) {
      throw new PgpError("the OpenPGP message was changed or is truncated", { cause });
    } finally {
      pieces.return?.().catch(() => undefined); // not waited for: it may hang as well
    }
  };
}

async function* tellingEnd(
  stream: AsyncIterable<Buffer>,
  patience: Patience,
): AsyncGenerator<Buffer> {
  yield* stream;
  patience.allGiven();
}

async function startDecryption(
  keys: readonly PrivateKey[],
  armored: boolean,
  stream: AsyncIterable<Buffer>,
  patience: Patience,
): Promise<AsyncIterable<Uint8Array>> {
  let keyIds: readonly string[] = [];
  try {
    const message = armored
      ? await readMessage({ armoredMessage: ReadableStream.from(asText(stream)) })
      : await readMessage({ binaryMessage: ReadableStream.from(stream) });
    keyIds = message.getEncryptionKeyIDs().map((id) => id.toHex().toUpperCase());
    const opening = decrypt({
      message,
      decryptionKeys: [...keys],
      format: "binary",
      config: { allowUnauthenticatedStream: true },
    });
    const opened: { readonly data: unknown } = await patience.for(opening);
    // The library's stream types need a package that it does not install; a stream in is a stream out.
    return opened.data as AsyncIterable<Uint8Array>;
  } catch (cause) {
    if (keyIds.length === 0) throw new PgpError("not a readable OpenPGP message", { cause });
    const given = keys.flatMap((key) => key.getKeyIDs().map((id) => id.toHex().toUpperCase()));
    const fits = keyIds.some((id) => given.includes(id));
    throw new PgpError(
      fits
        ? "the OpenPGP message was changed or is truncated"
        : `the file is encrypted to key ${keyIds.join(", ")}; the private key given is ${given[0] ?? "none"}`,
      { cause },
    );
  }
}

/** Armor begins with "-", a binary packet with a byte whose highest bit is set. */
async function sniffArmor(
  source: AsyncIterable<Uint8Array>,
): Promise<{ armored: boolean; stream: AsyncIterable<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done === true ? Buffer.alloc(0) : Buffer.from(first.value);
  async function* whole(): AsyncGenerator<Buffer> {
    try {
      yield head;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        yield Buffer.from(next.value);
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { armored: head[0] === 0x2d, stream: whole() };
}

async function* asText(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  for await (const chunk of stream) yield chunk.toString("latin1");
}
