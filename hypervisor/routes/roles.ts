import { z } from "zod";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { currentPasswordSchema, mayNotMake, type RecentDeps } from "../auth/recent-sign-in.ts";
import { etagOf } from "../frame/etag.ts";
import type { Router } from "../frame/router.ts";
import { requireHas } from "../people/grant.ts";
import { loseRights } from "../people/lost-rights.ts";
import { lineSchema, permissionsSchema, roleNameSchema } from "../people/names.ts";
import { covers, expand, ROLES } from "../permissions.ts";

const COLLECTION = "/api/v1/roles";
const ITEM = "/api/v1/roles/:role";

const roleSchema = z
  .object({
    name: z.string(),
    description: z.string(),
    permissions: z.array(z.string()),
    built_in: z.boolean(),
    /** Its holders must belong to an organization. */
    confined: z.boolean(),
  })
  .meta({ id: "Role" });
const listSchema = z.object({ roles: z.array(roleSchema), permissions: z.array(z.string()) });
const params = z.strictObject({ role: roleNameSchema });
const contentSchema = z.strictObject({
  description: lineSchema.default(""),
  permissions: permissionsSchema,
  /** Who signed in longer than ten minutes ago proves again who they are. */
  current_password: currentPasswordSchema,
});

interface MadeRole {
  readonly name: string;
  readonly description: string;
  readonly permissions: string[];
  readonly version: number;
}

const ROLE = "name, description, permissions, version::float8 AS version";

/** `/api/v1/roles`: the built-in ones, and those that people make. */
export function addRoleRoutes(router: Router, deps: RecentDeps): void {
  const { database } = deps;
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "role:read",
      summary: "all roles, and every permission there is",
      answers: { 200: listSchema },
    },
    async () => {
      const { rows } = await database.query<MadeRole>(
        `SELECT ${ROLE} FROM hypervisor_roles ORDER BY name LIMIT 1000`,
      );
      const roles = [...builtInRoles(), ...rows.map((row) => shown(200, row).body)];
      return { status: 200, body: { roles, permissions: [...expand(["*"])] } };
    },
  );
  router.route(
    {
      method: "get",
      path: ITEM,
      permission: "role:read",
      summary: "one role; of one that people have made its version as ETag",
      params,
      answers: { 200: roleSchema },
    },
    async ({ params: { role } }) => {
      const builtIn = builtInRoles().find(({ name }) => name === role);
      if (builtIn !== undefined) return { status: 200, body: builtIn };
      return shown(200, await readRole(database, role));
    },
  );
  addCreate(router, deps);
  addUpdate(router, deps);
  addDelete(router);
}

function builtInRoles() {
  return Object.entries(ROLES).map(([name, { about, permissions, confined = false }]) => ({
    name,
    description: about,
    permissions: [...permissions],
    built_in: true,
    confined,
  }));
}

function shown<const S extends number>(status: S, role: MadeRole) {
  const body = { ...role, built_in: false, confined: false };
  return { status, body, headers: { ETag: etagOf(role.version) } };
}

function addCreate(router: Router, deps: RecentDeps): void {
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "role:write",
      summary: "makes a role of permissions that the caller has",
      body: contentSchema.extend({ name: roleNameSchema }),
      answers: { 201: roleSchema },
      mutates: { action: "RoleCreated", resource: "role", secretFields: ["current_password"] },
    },
    async ({ body, principal, ip, change }) => {
      const { name, description, permissions, current_password: password } = body;
      const refusal = await mayNotMake(deps, "roles", { principal, ip, password });
      const subject = { id: name, summary: `Created the role ${name}`, facts: { permissions } };
      return change(subject, async (tx) => {
        if (refusal !== undefined) throw refusal; // within the change, so that it is on record
        requireHas(principal, permissions);
        const { rows } = await tx.query<MadeRole>(
          `INSERT INTO hypervisor_roles (name, description, permissions) VALUES ($1, $2, $3)
           ON CONFLICT DO NOTHING RETURNING ${ROLE}`,
          [name, description, permissions],
        );
        const [row] = rows;
        if (row === undefined || isBuiltIn(name)) throw conflict(`There is a role ${name}.`);
        return shown(201, row);
      });
    },
  );
}

function addUpdate(router: Router, deps: RecentDeps): void {
  router.route(
    {
      method: "put",
      path: ITEM,
      permission: "role:write",
      summary: "gives a role other permissions; holds for its users at once",
      params,
      body: contentSchema,
      answers: { 200: roleSchema },
      mutates: { action: "RoleUpdated", resource: "role" },
    },
    async ({ params: { role }, body, principal, ip, change, ifMatch }) => {
      const { description, permissions, current_password: password } = body;
      const refusal = await mayNotMake(deps, "roles", { principal, ip, password });
      const subject = { id: role, summary: `Updated the role ${role}`, facts: { permissions } };
      return change(subject, async (tx) => {
        const before = await lockRole(tx, role);
        const isMore = expand(permissions).some((each) => !covers(before.permissions, each));
        if (refusal !== undefined && isMore) throw refusal; // what is only taken away outlives nothing
        ifMatch(etagOf(before.version));
        requireHas(principal, [...before.permissions, ...permissions]);
        if (principal.role === role)
          throw new HttpProblem(403, "Not permitted", "Nobody changes their own rights.");
        const { rows } = await tx.query<MadeRole>(
          `UPDATE hypervisor_roles SET description = $2, permissions = $3, version = version + 1, updated_at = now()
            WHERE name = $1 RETURNING ${ROLE}`,
          [role, description, permissions],
        );
        if (expand(before.permissions).some((each) => !covers(permissions, each)))
          await loseRights(tx, await holdersOf(tx, role), permissions);
        return shown(200, rows[0] ?? before);
      });
    },
  );
}

function addDelete(router: Router): void {
  router.route(
    {
      method: "delete",
      path: ITEM,
      permission: "role:write",
      summary: "deletes a role that nobody has",
      params,
      answers: { 204: "nothing" },
      mutates: { action: "RoleDeleted", resource: "role" },
    },
    async ({ params: { role }, principal, change, ifMatch }) =>
      change({ id: role, summary: `Deleted the role ${role}` }, async (tx) => {
        const before = await lockRole(tx, role);
        ifMatch(etagOf(before.version));
        requireHas(principal, before.permissions);
        const { rows } = await tx.query<{ username: string }>(
          "SELECT username FROM hypervisor_users WHERE role = $1 ORDER BY username LIMIT 5",
          [role],
        );
        if (rows.length > 0)
          throw conflict(`${rows.map(({ username }) => username).join(", ")} still have it.`);
        await tx.query("DELETE FROM hypervisor_roles WHERE name = $1", [role]);
        return { status: 204 };
      }),
  );
}

async function lockRole(tx: Queryable, name: string): Promise<MadeRole> {
  if (isBuiltIn(name)) throw conflict(`${name} is built in.`);
  return readRole(tx, name, "FOR UPDATE");
}

/** @throws HttpProblem 404 */
async function readRole(
  database: Queryable,
  name: string,
  lock: "" | "FOR UPDATE" = "",
): Promise<MadeRole> {
  const { rows } = await database.query<MadeRole>(
    `SELECT ${ROLE} FROM hypervisor_roles WHERE name = $1 ${lock}`,
    [name],
  );
  const [row] = rows;
  if (row === undefined) throw new HttpProblem(404, "Not found", `There is no role ${name}.`);
  return row;
}

async function holdersOf(tx: Queryable, role: string): Promise<readonly string[]> {
  const { rows } = await tx.query<{ username: string }>(
    "SELECT username FROM hypervisor_users WHERE role = $1 ORDER BY username FOR UPDATE", // whoever makes a token now waits
    [role],
  );
  return rows.map(({ username }) => username);
}

function isBuiltIn(name: string): boolean {
  return Object.keys(ROLES).some((each) => each.toLowerCase() === name.toLowerCase());
}

function conflict(detail: string): HttpProblem {
  return new HttpProblem(409, "Conflict", detail);
}
