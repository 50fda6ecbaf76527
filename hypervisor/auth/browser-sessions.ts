import { createHash, randomBytes } from "node:crypto";
import { newId } from "../../lib/id.ts";
import type { Queryable } from "../../lib/postgres.ts";
import type { Identification } from "../types.ts";
import { barred, PERSON, PERSON_JOINS, principalOf, type Person } from "./person.ts";
import { SESSION_HOURS } from "./sessions.ts";

/** Opens a session that a browser's cookie stands for. @returns its id and the cookie's value */
export async function openBrowserSession(
  tx: Queryable,
  username: string,
): Promise<{ readonly session: string; readonly cookie: string }> {
  const session = newId("ses");
  const cookie = randomBytes(32).toString("base64url");
  await tx.query(
    `INSERT INTO hypervisor_sessions (id, username, expires_at, cookie_hash)
     VALUES ($1, $2, now() + make_interval(hours => $3), $4)`,
    [session, username, SESSION_HOURS, hashOf(cookie)],
  );
  return { session, cookie };
}

/** Whose cookie it is. Looked up each time, as all tokens are: an end, or another role, holds at once. */
export async function identifyCookie(database: Queryable, cookie: string): Promise<Identification> {
  const { rows } = await database.query<Person & { readonly session: string }>(
    `SELECT ${PERSON}, s.id AS session FROM hypervisor_sessions s
       JOIN hypervisor_users u ON u.username = s.username ${PERSON_JOINS}
      WHERE s.cookie_hash = $1 AND s.ended_at IS NULL AND s.expires_at > now()`,
    [hashOf(cookie)],
  );
  const [person] = rows;
  if (person === undefined) return { known: false, reason: "its session has ended" };
  const reason = barred(person);
  if (reason !== undefined) return { known: false, reason };
  return {
    known: true,
    principal: principalOf(person, { via: "session", session: person.session }),
  };
}

/** 256 random bits cannot be guessed at: a plain hash is enough. */
function hashOf(cookie: string): string {
  return createHash("sha256").update(cookie).digest("hex");
}
