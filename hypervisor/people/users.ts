import { PERSON, PERSON_JOINS, type Person } from "../auth/person.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Queryable } from "../../lib/postgres.ts";
import type { Principal } from "../types.ts";
import { utcColumns } from "../utc-column.ts";

/** A user as the API shows it. */
export interface User {
  readonly username: string;
  readonly email: string;
  readonly role: string;
  readonly permissions: string[];
  readonly organization: string | null;
  readonly enabled: boolean;
  readonly default_admin: boolean;
  readonly has_password: boolean;
  readonly oidc_subject: string | null;
  readonly must_change_password: boolean;
  /** RFC 3339, UTC. */
  readonly created_at: string;
  readonly updated_at: string;
  readonly last_login_at: string | null;
  readonly version: number;
}

const USER = `username, email, role, permissions, organization_id AS organization, enabled, default_admin,
  password_hash IS NOT NULL AS has_password, oidc_subject, must_change AS must_change_password,
  ${utcColumns(["created_at", "updated_at", "last_login_at"], { milliseconds: true })}, version::float8 AS version`;

/** @param organization only its users; undefined for all */
export async function listUsers(
  database: Queryable,
  page: {
    readonly organization: string | undefined;
    readonly after: string | undefined;
    readonly limit: number;
  },
): Promise<User[]> {
  const { rows } = await database.query<User>(
    `SELECT ${USER} FROM hypervisor_users
      WHERE ($1::text IS NULL OR organization_id = $1) AND ($2::text IS NULL OR username > $2)
      ORDER BY username LIMIT $3`,
    [page.organization ?? null, page.after ?? null, page.limit],
  );
  return rows;
}

/** @throws HttpProblem 404, also for a user of another organization */
export async function readUser(
  database: Queryable,
  username: string,
  organization: string | undefined,
): Promise<User> {
  const { rows } = await database.query<User>(
    `SELECT ${USER} FROM hypervisor_users
      WHERE username = $1 AND ($2::text IS NULL OR organization_id = $2)`,
    [username, organization ?? null],
  );
  const [user] = rows;
  if (user === undefined) throw noUser(username);
  return user;
}

/** Empty for somebody who is not there, or is another organization's. */
export async function emailOf(
  database: Queryable,
  username: string,
  { organization }: Pick<Principal, "organization">,
): Promise<string> {
  const { rows } = await database.query<{ email: string }>(
    `SELECT email FROM hypervisor_users
      WHERE username = $1 AND ($2::text IS NULL OR organization_id = $2)`,
    [username, organization ?? null],
  );
  return rows[0]?.email ?? "";
}

export function noUser(username: string): HttpProblem {
  return new HttpProblem(404, "Not found", `There is no user ${JSON.stringify(username)}.`);
}

/** The person behind a user, locked until the transaction ends. @throws HttpProblem 404 */
export async function lockPerson(
  tx: Queryable,
  username: string,
): Promise<Person & { readonly default_admin: boolean }> {
  const { rows } = await tx.query<Person & { default_admin: boolean }>(
    `SELECT ${PERSON}, u.default_admin FROM hypervisor_users u ${PERSON_JOINS}
      WHERE u.username = $1 FOR UPDATE OF u`,
    [username],
  );
  const [person] = rows;
  if (person === undefined) throw noUser(username);
  return person;
}

/** Whose record tells of a change of a user: the caller's organization, or of the platform's people the user's. */
export async function recordOf(
  database: Queryable,
  { organization }: Principal,
  username: string,
): Promise<string | undefined> {
  if (organization !== undefined) return organization;
  const { rows } = await database.query<{ organization: string | null }>(
    "SELECT organization_id AS organization FROM hypervisor_users WHERE username = $1",
    [username],
  );
  return rows[0]?.organization ?? undefined;
}

/** Who may do everything, everywhere. */
export function isAdmin({ role, organization }: Pick<Person, "role" | "organization">): boolean {
  return role === "Admin" && organization === null;
}

/** Any number of its own: of two admins who remove each other at once, one must wait and then be refused. */
const ADMINS_LOCK = 7_305_022;

/** @throws HttpProblem 409 when nobody else could do everything any more */
export async function requireOtherAdmin(tx: Queryable, username: string): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock($1)", [ADMINS_LOCK]);
  const { rows } = await tx.query<{ others: boolean }>(
    `SELECT EXISTS (SELECT FROM hypervisor_users
       WHERE role = 'Admin' AND enabled AND organization_id IS NULL AND username <> $1) AS others`,
    [username],
  );
  if (rows[0]?.others !== true)
    throw new HttpProblem(
      409,
      "Conflict",
      `${username} is the last admin: make another one first.`,
    );
}

/** The permissions of a role that people have made; null for a built-in or unknown one. */
export async function madeRole(tx: Queryable, role: string): Promise<readonly string[] | null> {
  const { rows } = await tx.query<{ permissions: string[] }>(
    "SELECT permissions FROM hypervisor_roles WHERE name = $1",
    [role],
  );
  return rows[0]?.permissions ?? null;
}

/** @throws HttpProblem 400 */
export async function requireOrganization(tx: Queryable, id: string | null): Promise<void> {
  if (id === null) return;
  const { rowCount } = await tx.query(
    "SELECT 1 FROM hypervisor_organizations WHERE id = $1 FOR KEY SHARE",
    [id],
  );
  if (rowCount === 0)
    throw new HttpProblem(400, "Bad request", `organization: there is no ${JSON.stringify(id)}`);
}
