import { HttpProblem } from "../../lib/problem.ts";
import { permissionsOf, type Person } from "../auth/person.ts";
import { covers, expand, ROLES } from "../permissions.ts";
import type { Principal } from "../types.ts";

/** What somebody is to be given. */
export type Grant = Pick<Person, "role" | "permissions" | "role_permissions" | "organization">;

/** Nobody gives what they do not have. @throws HttpProblem 400, 403 with what is missing */
export function requireMayGrant(principal: Principal, grant: Grant): void {
  const { role, organization, role_permissions: made } = grant;
  const builtIn = Object.hasOwn(ROLES, role) ? ROLES[role] : undefined;
  if (builtIn === undefined && made === null)
    throw new HttpProblem(400, "Bad request", `role: there is no role ${JSON.stringify(role)}`);
  if (role !== "Custom" && grant.permissions.length > 0)
    throw new HttpProblem(400, "Bad request", "permissions: only the role Custom has its own");
  if (builtIn?.confined === true && organization === null)
    throw new HttpProblem(400, "Bad request", `organization: ${role} needs one`);
  if (principal.organization !== undefined && organization !== principal.organization)
    throw new HttpProblem(
      403,
      "Not permitted",
      `${principal.name} gives rights in ${principal.organization} only`,
    );
  requireHas(principal, permissionsOf(grant));
}

/** @throws HttpProblem 403 that names what the caller lacks */
export function requireHas(principal: Principal, permissions: readonly string[]): void {
  const missing = expand(permissions).filter((each) => !covers(principal.permissions, each));
  if (missing.length === 0) return;
  const named = `${missing.slice(0, 5).join(", ")}${missing.length > 5 ? ", …" : ""}`;
  throw new HttpProblem(
    403,
    "Not permitted",
    `${principal.name} cannot give what they do not have: ${named}`,
  );
}

/**
 * Whether a caller may change this user at all: nobody of another organization (as if they were not there), and nobody who
 * may do more.
 */
export function requireMayManage(principal: Principal, person: Person): void {
  if (principal.organization !== undefined && person.organization !== principal.organization)
    throw new HttpProblem(404, "Not found", `There is no user ${JSON.stringify(person.username)}.`);
  requireHas(principal, permissionsOf(person));
}
