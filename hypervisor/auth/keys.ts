import { createPublicKey, hkdfSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../lib/postgres.ts";
import { loadKeys, signingKeyOf, type SigningKey } from "./stored-keys.ts";

/** Keys of access tokens, and what is derived from them. */
interface KeyRing {
  readonly current: SigningKey;
  /** Keys that are believed, by id: the newest, and those whose tokens are not over. */
  readonly byId: ReadonlyMap<string, KeyObject>;
  /** Make the successors of refresh tokens; the newest first. */
  readonly refreshKeys: readonly Buffer[];
}

export interface KeySource {
  ring(): Promise<KeyRing>;
  /** As `ring`, but read after this call: another process may have made a key just now. */
  again(): Promise<KeyRing>;
  /** Whether the keys are in the database, and not files that somebody else replaces. */
  readonly stored: boolean;
}

/** So long a replica may sign with a key that was replaced, or believe one that was revoked. */
const FRESH_MS = 5_000;
/** Strangers' tokens make us read again; all who wait for it share it. */
const AGAIN_MS = 1_000;

/** The key of a file, for all replicas; a second file may hold the key before it. @throws Error that names the file */
export function keysOfFiles(paths: readonly string[]): KeySource {
  const keys = paths.map((path) => {
    try {
      return signingKeyOf(readFileSync(path, "utf8"));
    } catch (cause) {
      throw new Error(`${path}: is no Ed25519 private key in PEM (PKCS#8)`, { cause });
    }
  });
  const ring = Promise.resolve(ringOf(keys));
  return { ring: async () => ring, again: async () => ring, stored: false };
}

/** Keys in the database, which all replicas share; the first process that needs one makes it. */
export function keysOfDatabase(database: Database): KeySource {
  let known: Promise<KeyRing> | undefined;
  let next: Promise<KeyRing> | undefined;
  let readAt = -Infinity;
  const load = async (): Promise<KeyRing> => {
    readAt = performance.now();
    const loading = loadKeys(database).then(ringOf);
    known = loading;
    loading.catch(() => {
      if (known === loading) known = undefined; // the next one asks again
    });
    return loading;
  };
  const loadNext = async (): Promise<KeyRing> => {
    await sleep(Math.max(0, readAt + AGAIN_MS - performance.now()), undefined, { ref: false });
    next = undefined;
    return load();
  };
  return {
    ring: async () =>
      known !== undefined && performance.now() - readAt < FRESH_MS ? known : load(),
    again: async () => (next ??= loadNext()),
    stored: true,
  };
}

function ringOf(keys: readonly SigningKey[]): KeyRing {
  const [current] = keys;
  if (current === undefined) throw new Error("there is no signing key");
  return {
    current,
    byId: new Map(keys.map(({ kid, privateKey }) => [kid, createPublicKey(privateKey)])),
    refreshKeys: keys.map(({ privateKey }) => {
      const secret = privateKey.export({ type: "pkcs8", format: "der" });
      return Buffer.from(hkdfSync("sha256", secret, "", "fettle refresh tokens", 32));
    }),
  };
}
