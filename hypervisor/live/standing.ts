import type { Queryable } from "../../lib/postgres.ts";
import { barred, findPerson, narrowed, principalOf, type Person } from "../auth/person.ts";
import type { Principal } from "../types.ts";

/** Who a caller is by now; undefined when they would not be let in any more. */
export type Standing = (principal: Principal) => Promise<Principal | undefined>;

/** Looks it up as if they came now: the login, the token, the person and their role. @throws when the database does not answer */
export function standingIn(database: Queryable): Standing {
  return async (principal) => {
    const { via, name, session, token, subject } = principal;
    if (via === "static-token") return principal;
    if (via === "nobody") return undefined;
    const person = await findPerson(database, name);
    if (person === undefined || barred(person) !== undefined) return undefined;
    if (subject !== undefined && person.oidc_subject !== subject) return undefined;
    if (session !== undefined && !(await isOpen(database, session))) return undefined;
    return token === undefined
      ? principalOf(person, { via, session, subject })
      : byToken(database, person, token);
  };
}

async function isOpen(database: Queryable, session: string): Promise<boolean> {
  const { rowCount } = await database.query(
    "SELECT FROM hypervisor_sessions WHERE id = $1 AND ended_at IS NULL AND expires_at > now()",
    [session],
  );
  return rowCount === 1;
}

async function byToken(
  database: Queryable,
  person: Person,
  token: string,
): Promise<Principal | undefined> {
  const { rows } = await database.query<{ permissions: readonly string[] }>(
    `SELECT permissions FROM hypervisor_api_tokens
      WHERE id = $1 AND revoked_at IS NULL AND expires_at > now()`,
    [token],
  );
  const principal = principalOf(person, { via: "api-token", token });
  return rows[0] && narrowed(principal, rows[0].permissions);
}
