import { createHash, createHmac, randomBytes } from "node:crypto";
import { newId } from "../../lib/id.ts";
import type { Queryable } from "../../lib/postgres.ts";
import type { KeySource } from "./keys.ts";

/** A login lasts so long, however often it is refreshed. */
export const SESSION_HOURS = 12;
/** When an answer was lost, its client may ask again so soon and gets the same successor. */
const SAME_AGAIN_SECONDS = 5;

/** Who signs in or refreshes, as far as it can be told: a lost answer is given again to nobody else. */
export interface Client {
  readonly ip: string;
  readonly agent: string | undefined;
}

export type Refreshed =
  | { readonly kind: "fresh"; readonly session: string; readonly refreshToken: string }
  | { readonly kind: "unknown" }
  /** It was used before by somebody: the session has ended for all, by this or before. */
  | {
      readonly kind: "reused";
      readonly session: string;
      readonly username: string;
      readonly wasOpen: boolean;
    };

interface TokenRow {
  readonly session_id: string;
  readonly username: string;
  readonly used: boolean;
  readonly again: boolean;
  readonly alive: boolean;
}

/** Opens a session. @returns its id and the first refresh token */
export async function openSession(
  tx: Queryable,
  username: string,
  client: Client,
): Promise<{ readonly session: string; readonly refreshToken: string }> {
  const session = newId("ses");
  const refreshToken = randomBytes(32).toString("base64url");
  await tx.query(
    `INSERT INTO hypervisor_sessions (id, username, expires_at)
     VALUES ($1, $2, now() + make_interval(hours => $3))`,
    [session, username, SESSION_HOURS],
  );
  await insertToken(tx, { session, refreshToken, client });
  return { session, refreshToken };
}

/**
 * Exchanges a refresh token for its successor. The successor follows from the token and a secret of ours, so that it can
 * be told again without being kept, and cannot be computed from a stolen token.
 */
export async function rotate(
  tx: Queryable,
  keys: KeySource,
  given: string,
  client: Client,
): Promise<Refreshed> {
  const hash = hashOf(given);
  const { rows } = await tx.query<TokenRow>(
    `SELECT t.session_id, s.username, t.used_at IS NOT NULL AS used,
            t.used_at > now() - make_interval(secs => $2) AND t.client = $3
              AND NOT EXISTS (SELECT FROM hypervisor_refresh_tokens n
                               WHERE n.session_id = t.session_id AND n.created_at >= t.used_at AND n.used_at IS NOT NULL) AS again,
            s.ended_at IS NULL AND s.expires_at > now() AS alive
       FROM hypervisor_refresh_tokens t JOIN hypervisor_sessions s ON s.id = t.session_id
      WHERE t.hash = $1 FOR UPDATE OF t, s`,
    [hash, SAME_AGAIN_SECONDS, clientHash(client)],
  );
  const [row] = rows;
  if (row === undefined) return { kind: "unknown" };
  const { session_id: session, username, used, again, alive } = row;
  if (used && !again) {
    const wasOpen = await endSession(tx, session, "reuse");
    return { kind: "reused", session, username, wasOpen };
  }
  if (!alive) return { kind: "unknown" };
  const { refreshKeys } = await keys.ring();
  const successors = refreshKeys.map((key) =>
    createHmac("sha256", key).update(given).digest("base64url"),
  );
  const refreshToken = used ? await firstKnown(tx, successors) : successors[0];
  if (refreshToken === undefined) return { kind: "unknown" };
  if (!used) {
    await tx.query("UPDATE hypervisor_refresh_tokens SET used_at = now() WHERE hash = $1", [hash]);
    await insertToken(tx, { session, refreshToken, client });
  }
  return { kind: "fresh", session, refreshToken };
}

/** With it all of its tokens. @returns whether it was open */
export async function endSession(
  tx: Queryable,
  session: string,
  by: "logout" | "reuse",
): Promise<boolean> {
  const { rowCount } = await tx.query(
    "UPDATE hypervisor_sessions SET ended_at = now(), ended_by = $2 WHERE id = $1 AND ended_at IS NULL",
    [session, by],
  );
  return rowCount === 1;
}

/** Every login of people, but for the one that asks for it. */
export async function endSessionsOf(
  tx: Queryable,
  usernames: readonly string[],
  by: "password" | "admin",
  but?: string,
): Promise<void> {
  await tx.query(
    `UPDATE hypervisor_sessions SET ended_at = now(), ended_by = $2
      WHERE username = ANY ($1) AND ended_at IS NULL AND id IS DISTINCT FROM $3`,
    [usernames, by, but ?? null],
  );
}

/** The session that a refresh token belongs to, for a logout after the access token has expired. */
export async function sessionOf(
  tx: Queryable,
  refreshToken: string,
): Promise<{ readonly session: string; readonly username: string } | undefined> {
  const { rows } = await tx.query<{ session: string; username: string }>(
    `SELECT s.id AS session, s.username FROM hypervisor_refresh_tokens t
       JOIN hypervisor_sessions s ON s.id = t.session_id WHERE t.hash = $1`,
    [hashOf(refreshToken)],
  );
  return rows[0];
}

/** The signing key may have been replaced since the successor was made. */
async function firstKnown(
  tx: Queryable,
  refreshTokens: readonly string[],
): Promise<string | undefined> {
  const { rows } = await tx.query<{ hash: string }>(
    "SELECT hash FROM hypervisor_refresh_tokens WHERE hash = ANY ($1)",
    [refreshTokens.map(hashOf)],
  );
  return refreshTokens.find((each) => rows.some(({ hash }) => hash === hashOf(each)));
}

async function insertToken(
  tx: Queryable,
  token: { readonly session: string; readonly refreshToken: string; readonly client: Client },
): Promise<void> {
  await tx.query(
    "INSERT INTO hypervisor_refresh_tokens (hash, session_id, client) VALUES ($1, $2, $3)",
    [hashOf(token.refreshToken), token.session, clientHash(token.client)],
  );
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

function clientHash({ ip, agent }: Client): string {
  return hashOf(JSON.stringify([ip, agent ?? null]));
}
