import { sha256Hex } from "../lib/canonical.ts";
import type { Queryable } from "../lib/postgres.ts";

/** Removed with each new key, so that the table stays small without a job of its own. */
const EXPIRED_AT_ONCE = 100;

/**
 * Remembers a signed request, and says whether it had come before. Call it in the transaction that stores what the request
 * brings: a request whose storing failed may come again.
 *
 * @param ttlSeconds longer than the signature stays fresh; afterwards the key is forgotten
 */
export async function seenBefore(tx: Queryable, key: string, ttlSeconds: number): Promise<boolean> {
  await tx.query(
    `DELETE FROM seen_requests WHERE key_sha256 IN (
       SELECT key_sha256 FROM seen_requests WHERE expires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED)`,
    [EXPIRED_AT_ONCE],
  );
  const { rowCount } = await tx.query(
    `INSERT INTO seen_requests AS seen (key_sha256, expires_at) VALUES ($1, now() + make_interval(secs => $2))
     ON CONFLICT (key_sha256) DO UPDATE SET expires_at = excluded.expires_at WHERE seen.expires_at < now()`,
    [sha256Hex(key), ttlSeconds],
  );
  return rowCount === 0;
}
