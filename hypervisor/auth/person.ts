import type { Queryable } from "../../lib/postgres.ts";
import { covers, expand, isPattern, ROLES } from "../permissions.ts";
import type { Principal } from "../types.ts";

/** A user as far as it matters for what they may do. */
export interface Person {
  readonly username: string;
  readonly role: string;
  /** Of the user's own, for the role Custom. */
  readonly permissions: readonly string[];
  /** Of a role that people have made. */
  readonly role_permissions: readonly string[] | null;
  readonly organization: string | null;
  readonly organization_enabled: boolean;
  readonly projects: readonly string[];
  readonly enabled: boolean;
  readonly must_change: boolean;
  readonly token_version: number;
  /** Proves here who they are: an identity provider's word does not stand for the password. */
  readonly signs_in_here: boolean;
  /** Their account at the identity provider. */
  readonly oidc_subject: string | null;
}

/** Columns and joins of a {@link Person}; `u` is the user. */
export const PERSON = `u.username, u.role, u.permissions, r.permissions AS role_permissions,
    u.organization_id AS organization, coalesce(o.enabled, true) AS organization_enabled,
    u.enabled, u.must_change, u.token_version::float8 AS token_version,
    u.password_hash IS NOT NULL OR u.default_admin AS signs_in_here, u.oidc_subject,
    coalesce((SELECT array_agg(project) FROM hypervisor_vdcs v WHERE v.organization_id = u.organization_id), '{}') AS projects`;
export const PERSON_JOINS = `LEFT JOIN hypervisor_roles r ON r.name = u.role
    LEFT JOIN hypervisor_organizations o ON o.id = u.organization_id`;

export async function findPerson(
  database: Queryable,
  username: string,
): Promise<Person | undefined> {
  const { rows } = await database.query<Person>(
    `SELECT ${PERSON} FROM hypervisor_users u ${PERSON_JOINS} WHERE u.username = $1`,
    [username],
  );
  return rows[0];
}

/** What a role stands for; a role that is gone stands for nothing. */
export function permissionsOf(
  person: Pick<Person, "role" | "permissions" | "role_permissions">,
): readonly string[] {
  const { role, permissions, role_permissions: made } = person;
  if (role === "Custom") return permissions.filter(isPattern);
  const builtIn = Object.hasOwn(ROLES, role) ? ROLES[role] : undefined;
  return (builtIn?.permissions ?? made ?? []).filter(isPattern);
}

/** Why a person may not come in at all; undefined when they may. */
export function barred({ enabled, organization_enabled }: Person): string | undefined {
  if (!enabled) return "the user is disabled";
  return organization_enabled ? undefined : "the user's organization is disabled";
}

const CHANGE_FIRST = "the password must be changed first: POST /auth/password";

export function principalOf(
  person: Person,
  via: Pick<Principal, "via" | "session" | "token" | "subject" | "signedInAt" | "expiresAt">,
): Principal {
  const { username, role, organization, projects, must_change: mustChange } = person;
  return {
    name: username,
    role,
    permissions: permissionsOf(person),
    withheld: mustChange && via.via === "session" ? CHANGE_FIRST : undefined,
    organization: organization ?? undefined,
    projects: organization === null ? "all" : new Set(projects),
    ...via,
  };
}

/** What a token may do: what it was given, of what its owner has now. */
export function narrowed(principal: Principal, permissions: readonly string[]): Principal {
  const both = expand(permissions).filter((each) => covers(principal.permissions, each));
  return { ...principal, permissions: both };
}
