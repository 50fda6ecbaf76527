import { hasCode } from "../../lib/error.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { appendDeed } from "../frame/record.ts";
import { barred, findPerson, PERSON, PERSON_JOINS, type Person } from "./person.ts";

/** Somebody's account at an identity provider. Its `sub` is never given to anybody else; its name may be. */
export interface Account {
  readonly issuer: string;
  readonly subject: string;
}

const OWN = "who has its name signs in here, with a password"; // whoever may choose a name there would be them
const ANOTHERS = "its name belongs to another account of the issuer";
const PROGRAM = "who has its name has API tokens: say whose account it is (oidc_subject)";
const UNIQUE_VIOLATION = "23505";

/**
 * The user of an account. One that is bound stays who it is, whatever it is called by now. One that is not is bound
 * to the user of its name: once, when that user signs in by nothing else and nobody was bound before.
 *
 * @param name what the issuer calls it, if it does
 * @returns the user, or why there is none
 */
export async function personOf(
  database: Database,
  account: Account,
  name: string | undefined,
): Promise<Person | string> {
  const bound = await findBound(database, account);
  if (bound !== undefined) return (bound.signs_in_here ? OWN : barred(bound)) ?? bound;
  if (name === undefined) return "it names nobody";
  const person = await findPerson(database, name);
  if (person === undefined) return "nobody has its name here";
  const reason = person.signs_in_here ? OWN : barred(person);
  if (reason !== undefined) return reason;
  if (person.oidc_subject !== null) return ANOTHERS;
  if (await hasTokens(database, name)) return PROGRAM;
  await bind(database, account, person);
  return (await findBound(database, account)) ?? ANOTHERS; // of two at once one was first
}

async function findBound(
  database: Queryable,
  { issuer, subject }: Account,
): Promise<Person | undefined> {
  const { rows } = await database.query<Person>(
    `SELECT ${PERSON} FROM hypervisor_users u ${PERSON_JOINS}
      WHERE u.oidc_issuer = $1 AND u.oidc_subject = $2`,
    [issuer, subject],
  );
  return rows[0];
}

async function hasTokens(database: Queryable, username: string): Promise<boolean> {
  const { rowCount } = await database.query(
    "SELECT FROM hypervisor_api_tokens WHERE owner = $1 LIMIT 1",
    [username],
  );
  return rowCount === 1;
}

async function bind(
  database: Database,
  { issuer, subject }: Account,
  { username, organization }: Person,
): Promise<void> {
  await database
    .inTransaction(async (tx) => {
      const { rowCount } = await tx.query(
        `UPDATE hypervisor_users
            SET oidc_issuer = $2, oidc_subject = $3, version = version + 1, updated_at = now()
          WHERE username = $1 AND oidc_subject IS NULL AND password_hash IS NULL AND enabled`,
        [username, issuer, subject],
      );
      if (rowCount === 0) return;
      await appendDeed(tx, {
        actor: username,
        action: "IdentityBound",
        resource: "user",
        id: username,
        result: "Success",
        summary: `Came for the first time: from now on ${username} is this account of ${issuer}`,
        facts: { issuer, subject },
        ip: "unknown", // the request's own rows have it, under the same correlation id
        organization: organization ?? undefined,
      });
    })
    .catch((error: unknown) => {
      if (!hasCode(error, UNIQUE_VIOLATION)) throw error; // else it was bound to somebody in this moment
    });
}
