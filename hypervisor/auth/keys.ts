import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
} from "node:crypto";
import { readFileSync } from "node:fs";
import type { KeyObject } from "node:crypto";
import type { Database } from "../../lib/postgres.ts";

/** Keys of access tokens, and what is derived from the newest. */
interface KeyRing {
  readonly current: SigningKey;
  /** Known keys by id; two during a rotation. */
  readonly byId: ReadonlyMap<string, KeyObject>;
  /** Makes the successors of refresh tokens. */
  readonly refreshKey: Buffer;
}

interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
}

export interface KeySource {
  ring(): Promise<KeyRing>;
  /** As `ring`, but looked for again (at most every few seconds): another process may have made a key. */
  again(): Promise<KeyRing>;
}

const LOCK = 7_305_021;
const AGAIN_MS = 5_000;
/** Own keys are replaced at the first start after this. */
const KEY_DAYS = 90;

/** The key of a file, for all replicas; a second file may hold the key before it. @throws Error that names the file */
export function keysOfFiles(paths: readonly string[]): KeySource {
  const keys = paths.map((path) => {
    try {
      return signingKeyOf(readFileSync(path, "utf8"));
    } catch (cause) {
      throw new Error(`${path}: is no Ed25519 private key in PEM (PKCS#8)`, { cause });
    }
  });
  const ring = ringOf(keys);
  return { ring: async () => Promise.resolve(ring), again: async () => Promise.resolve(ring) };
}

/** Keys in the database; the first process that needs one makes it. */
export function keysOfDatabase(database: Database): KeySource {
  let known: Promise<KeyRing> | undefined;
  let readAt = 0;
  const load = async (): Promise<KeyRing> => {
    readAt = performance.now();
    const loading = loadKeys(database);
    known = loading;
    loading.catch(() => {
      if (known === loading) known = undefined; // the next one asks again
    });
    return loading;
  };
  return {
    ring: async () => known ?? load(),
    again: async () =>
      known !== undefined && performance.now() - readAt < AGAIN_MS ? known : load(),
  };
}

async function loadKeys(database: Database): Promise<KeyRing> {
  return database.inTransaction(async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    const newest = async () =>
      tx.query<{ private_pem: string; young: boolean }>(
        `SELECT private_pem, created_at > now() - make_interval(days => ${KEY_DAYS}) AS young
           FROM hypervisor_signing_keys ORDER BY created_at DESC, kid LIMIT 2`,
      );
    let { rows } = await newest();
    if (rows[0]?.young !== true) {
      const pem = generateKeyPairSync("ed25519").privateKey.export({
        type: "pkcs8",
        format: "pem",
      });
      const { kid } = signingKeyOf(pem.toString());
      await tx.query("INSERT INTO hypervisor_signing_keys (kid, private_pem) VALUES ($1, $2)", [
        kid,
        pem,
      ]);
      ({ rows } = await newest());
    }
    return ringOf(rows.map((row) => signingKeyOf(row.private_pem)));
  });
}

function signingKeyOf(pem: string): SigningKey {
  const privateKey = createPrivateKey(pem);
  if (privateKey.asymmetricKeyType !== "ed25519") throw new Error("another kind of key");
  const der = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return { kid: createHash("sha256").update(der).digest("base64url").slice(0, 22), privateKey };
}

function ringOf(keys: readonly SigningKey[]): KeyRing {
  const [current] = keys;
  if (current === undefined) throw new Error("there is no signing key");
  const secret = current.privateKey.export({ type: "pkcs8", format: "der" });
  return {
    current,
    byId: new Map(keys.map(({ kid, privateKey }) => [kid, createPublicKey(privateKey)])),
    refreshKey: Buffer.from(hkdfSync("sha256", secret, "", "fettle refresh tokens", 32)),
  };
}
