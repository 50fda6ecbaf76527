import { messageOf } from "../lib/error.ts";
import { readKeys, type Key } from "openpgp";

/** A public key that we encrypt to, checked to be usable now. */
export interface Recipient {
  readonly key: Key;
  /** Upper-case hex, as gpg prints it. */
  readonly fingerprint: string;
  /** Set when Debian's gpg 2.2 cannot use such a key, so its owner could not open the file there. */
  readonly warning: string | undefined;
}

/** A recipient cannot be used; nobody is dropped silently, so the export does not start. */
class RecipientError extends Error {
  override readonly name = "RecipientError";
}

const PUBLIC_BLOCK =
  /-----BEGIN PGP PUBLIC KEY BLOCK-----[\s\S]*?-----END PGP PUBLIC KEY BLOCK-----/g;
/** RFC 9580 algorithms X25519 … Ed448, unknown to gpg 2.2 and 2.4. */
const NEW_ALGORITHMS = { first: 25, last: 28 };

/**
 * Reads every public key in the given texts: armored, any number of blocks in a text and of keys in a block. Blocks are
 * found by their lines and not by splitting at commas, because armor headers may hold commas.
 *
 * @throws RecipientError naming the fingerprint of a key that is expired, revoked or cannot encrypt
 */
export async function readRecipients(
  sources: readonly { readonly from: string; readonly content: Buffer }[],
  now: Date,
): Promise<readonly Recipient[]> {
  const recipients = new Map<string, Recipient>();
  for (const { from, content } of sources) {
    for (const key of await parseKeys(from, content)) {
      const recipient = await checkRecipient(key, now);
      recipients.set(recipient.fingerprint, recipient);
    }
  }
  return [...recipients.values()];
}

async function parseKeys(from: string, content: Buffer): Promise<readonly Key[]> {
  const text = content.toString("utf8").replaceAll("\\n", "\n");
  if (text.includes("PGP PRIVATE KEY")) {
    throw new RecipientError(`${from} holds a private key; give the public key only`);
  }
  const blocks = text.match(PUBLIC_BLOCK) ?? [];
  try {
    const read =
      blocks.length > 0
        ? await Promise.all(blocks.map(async (block) => readKeys({ armoredKeys: block })))
        : [await readKeys({ binaryKeys: content })];
    const keys = read.flat();
    if (keys.length > 0) return keys;
  } catch (cause) {
    throw new RecipientError(`${from} holds no readable PGP public key`, { cause });
  }
  throw new RecipientError(`${from} holds no PGP public key`);
}

async function checkRecipient(key: Key, now: Date): Promise<Recipient> {
  const fingerprint = key.getFingerprint().toUpperCase();
  if (key.isPrivate()) throw new RecipientError(`PGP key ${fingerprint} is a private key`);
  try {
    await key.verifyPrimaryKey(now);
    const { keyPacket } = await key.getEncryptionKey(undefined, now);
    const algorithm: number = keyPacket.algorithm;
    const isNew = algorithm >= NEW_ALGORITHMS.first && algorithm <= NEW_ALGORITHMS.last;
    const warning =
      keyPacket.version > 4 || isNew ? "gpg 2.2 and 2.4 cannot use this kind of key" : undefined;
    return { key, fingerprint, warning };
  } catch (cause) {
    const reason = messageOf(cause);
    throw new RecipientError(`PGP key ${fingerprint} cannot be used: ${reason}`, { cause });
  }
}
