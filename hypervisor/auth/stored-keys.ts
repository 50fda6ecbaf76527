import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { appendDeed } from "../frame/record.ts";

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
}

/** A key as people see it. */
export interface ShownKey {
  readonly kid: string;
  readonly created_at: Date;
}

/** Any number of its own: of replicas that find no key, or an old one, at once, one makes it. */
const LOCK = 7_305_021;
/** Keys are replaced by themselves after this. */
const KEY_DAYS = 90;
/** After a key's successor: until all replicas sign with that (5 s), and the last token is over (10 min). */
const OVER_MINUTES = 15;
/** Each is tried by no request, but read by all replicas: a script that rotates for ever is found out. */
const KEYS_MAX = 8;

/** Of a key that is not believed any more: a newer one is older than every token of it can be. */
export const FORGOTTEN_KEYS = `created_at < (SELECT max(created_at) FROM hypervisor_signing_keys
   WHERE created_at < now() - interval '${OVER_MINUTES} minutes')`;

interface KeyRow {
  readonly kid: string;
  readonly private_pem: string;
  readonly created_at: Date;
  readonly young: boolean;
}

/** The keys that are believed, the newest first, which signs. Makes one where there is none, or only an old one. */
export async function loadKeys(database: Database): Promise<readonly SigningKey[]> {
  const rows = await believed(database);
  if (rows[0]?.young === true) return rows.map((row) => signingKeyOf(row.private_pem));
  return database.inTransaction(async (tx) => {
    await lockKeys(tx);
    const before = await believed(tx);
    if (before[0]?.young !== true) await replace(tx, before);
    return (await believed(tx)).map((row) => signingKeyOf(row.private_pem));
  });
}

async function replace(tx: Queryable, before: readonly KeyRow[]): Promise<void> {
  const kid = await insertKey(tx);
  if (before.length === 0) return; // the first of all: nothing has changed
  await appendDeed(tx, {
    actor: "fettle",
    action: "SigningKeyRotated",
    resource: "system",
    id: kid,
    result: "Success",
    summary: `Made a new signing key: the one before was older than ${KEY_DAYS} days`,
    ip: "local",
    organization: undefined,
  });
}

/**
 * A new key signs from now on; those before are believed until their tokens are over.
 *
 * @param revoke they are believed no more, as somebody else may have them
 * @returns the new key's id
 * @throws HttpProblem 409 when there were too many of late
 */
export async function rotateKeys(
  tx: Queryable,
  { revoke }: { readonly revoke: boolean },
): Promise<string> {
  await lockKeys(tx);
  if (revoke) await tx.query("DELETE FROM hypervisor_signing_keys");
  else if ((await believed(tx)).length >= KEYS_MAX)
    throw new HttpProblem(
      409,
      "Conflict",
      `There are ${KEYS_MAX} keys already: wait ${OVER_MINUTES} min, or revoke them.`,
    );
  return insertKey(tx);
}

/** Without what is secret about them. */
export async function listKeys(database: Queryable): Promise<readonly ShownKey[]> {
  return believed(database);
}

async function lockKeys(tx: Queryable): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
}

async function believed(database: Queryable): Promise<readonly KeyRow[]> {
  const { rows } = await database.query<KeyRow>(
    `SELECT kid, private_pem, created_at,
            created_at > now() - make_interval(days => ${KEY_DAYS}) AS young
       FROM hypervisor_signing_keys WHERE (${FORGOTTEN_KEYS}) IS NOT TRUE ORDER BY created_at DESC, kid`,
  );
  return rows;
}

async function insertKey(tx: Queryable): Promise<string> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const { kid } = signingKeyOf(pem);
  // The clock's time, and not the transaction's, which may have waited for the lock.
  await tx.query(
    "INSERT INTO hypervisor_signing_keys (kid, private_pem, created_at) VALUES ($1, $2, clock_timestamp())",
    [kid, pem],
  );
  return kid;
}

/** @throws when it is no Ed25519 private key in PEM */
export function signingKeyOf(pem: string): SigningKey {
  const privateKey = createPrivateKey(pem);
  if (privateKey.asymmetricKeyType !== "ed25519") throw new Error("another kind of key");
  const der = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return { kid: createHash("sha256").update(der).digest("base64url").slice(0, 22), privateKey };
}
