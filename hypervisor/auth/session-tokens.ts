import type { Queryable } from "../../lib/postgres.ts";
import type { TokenKind } from "../authenticate.ts";
import type { AccessTokens } from "./access-token.ts";
import { barred, PERSON, PERSON_JOINS, principalOf, type Person } from "./person.ts";

/** Access tokens of /auth/token. The person and the session are looked up each time: an end, or another role, holds at once. */
export function sessionTokens(database: Queryable, tokens: AccessTokens): TokenKind {
  return {
    identify: async (token) => {
      const claims = await tokens.verify(token);
      if (claims === undefined) return undefined;
      if (typeof claims === "string") return { known: false, reason: claims };
      const { username, session, version } = claims;
      const { rows } = await database.query<Person>(
        `SELECT ${PERSON} FROM hypervisor_users u ${PERSON_JOINS}
           JOIN hypervisor_sessions s ON s.username = u.username
          WHERE u.username = $1 AND s.id = $2 AND s.ended_at IS NULL AND s.expires_at > now()`,
        [username, session],
      );
      const [person] = rows;
      if (person === undefined) return { known: false, reason: "its session has ended" };
      if (person.token_version !== version)
        return { known: false, reason: "the user's rights have changed since" };
      const reason = barred(person);
      if (reason !== undefined) return { known: false, reason };
      return { known: true, principal: principalOf(person, { via: "session", session }) };
    },
  };
}
