import { createHash, randomBytes } from "node:crypto";
import type { Queryable } from "../../lib/postgres.ts";
import type { TokenKind } from "../authenticate.ts";
import { barred, narrowed, PERSON, PERSON_JOINS, principalOf, type Person } from "./person.ts";

/** Scanners for leaked secrets know tokens by such beginnings. */
const PREFIX = "aio_";

interface TokenRow extends Person {
  readonly id: string;
  readonly token_permissions: readonly string[];
  readonly usable: boolean;
}

export function newApiToken(): { readonly token: string; readonly hash: string } {
  const token = PREFIX + randomBytes(32).toString("base64url");
  return { token, hash: hashOf(token) };
}

/** 256 random bits cannot be guessed at: a plain hash is enough, and fast. */
function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** API tokens: what they were given, of what their owner has now. */
export function apiTokens(database: Queryable): TokenKind {
  return {
    identify: async (token) => {
      if (!token.startsWith(PREFIX)) return undefined;
      const { rows } = await database.query<TokenRow>(
        `SELECT ${PERSON}, t.id, t.permissions AS token_permissions,
                t.revoked_at IS NULL AND t.expires_at > now() AS usable
           FROM hypervisor_api_tokens t
           JOIN hypervisor_users u ON u.username = t.owner ${PERSON_JOINS}
          WHERE t.hash = $1`,
        [hashOf(token)],
      );
      const [row] = rows;
      if (row === undefined) return { known: false, reason: "it is not known" };
      if (!row.usable) return { known: false, reason: "it has expired or was revoked" };
      const reason = barred(row);
      if (reason !== undefined) return { known: false, reason };
      await noteUse(database, row.id);
      const principal = principalOf(row, { via: "api-token", token: row.id });
      return { known: true, principal: narrowed(principal, row.token_permissions) };
    },
  };
}

/** To the minute: a busy program must not write a row with every request. */
async function noteUse(database: Queryable, id: string): Promise<void> {
  await database.query(
    `UPDATE hypervisor_api_tokens SET last_used_at = now()
      WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`,
    [id],
  );
}
