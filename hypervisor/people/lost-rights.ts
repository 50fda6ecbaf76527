import { permissionsOf } from "../auth/person.ts";
import { endSessionsOf } from "../auth/sessions.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { covers, expand } from "../permissions.ts";
import type { Grant } from "./grant.ts";

/** Whoever had these logins and API tokens has nothing any more. */
export async function endAccess(
  tx: Queryable,
  username: string,
  by: "admin" | "password" = "admin",
  but?: string,
): Promise<void> {
  await endSessionsOf(tx, [username], by, but);
  await tx.query(
    "UPDATE hypervisor_api_tokens SET revoked_at = now() WHERE owner = $1 AND revoked_at IS NULL",
    [username],
  );
}

/** Whether somebody who was given the one, and now the other, lost something. */
export function isLess(before: Grant, after: Grant): boolean {
  const left = permissionsOf(after);
  return expand(permissionsOf(before)).some((each) => !covers(left, each));
}

/**
 * After people lost permissions: their logins end, and their API tokens keep, for good, what is left. A right that is
 * given again later must not come back to a token that somebody has forgotten.
 */
export async function loseRights(
  tx: Queryable,
  usernames: readonly string[],
  left: readonly string[],
): Promise<void> {
  await endSessionsOf(tx, usernames, "admin");
  const { rows } = await tx.query<{ id: string; permissions: readonly string[] }>(
    `SELECT id, permissions FROM hypervisor_api_tokens
      WHERE owner = ANY ($1) AND revoked_at IS NULL AND expires_at > now() ORDER BY id FOR UPDATE`,
    [usernames],
  );
  for (const { id, permissions } of rows) {
    const had = expand(permissions);
    const kept = had.filter((each) => covers(left, each));
    if (kept.length === had.length) continue;
    await tx.query("UPDATE hypervisor_api_tokens SET permissions = $2 WHERE id = $1", [id, kept]);
  }
}
