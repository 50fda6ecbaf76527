import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import { oneTimePassword, type Passwords } from "../auth/password.ts";
import { currentPasswordSchema, mayNotMake, type RecentDeps } from "../auth/recent-sign-in.ts";
import { etagOf } from "../frame/etag.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import type { Owner } from "../auth/weakness.ts";
import { accountOf, requireFreeAccount } from "../people/account.ts";
import { passwordHash } from "../people/password-hash.ts";
import { requireMayGrant, requireMayManage } from "../people/grant.ts";
import {
  emailSchema,
  passwordSchema,
  permissionsSchema,
  roleNameSchema,
  slugSchema,
  subjectSchema,
  usernameSchema,
} from "../people/names.ts";
import {
  emailOf,
  listUsers,
  lockPerson,
  madeRole,
  readUser,
  recordOf,
  isAdmin,
  requireOrganization,
  requireOtherAdmin,
  type User,
} from "../people/users.ts";
import { updateUser } from "../people/update-user.ts";

interface UsersDeps extends RecentDeps {
  /** Whose accounts users may be; undefined: nobody's. */
  readonly oidcIssuer: string | undefined;
}

const PAGE_MAX = 200;
const USERS = "users, and gives no rights";
const COLLECTION = "/api/v1/users";
const ITEM = "/api/v1/users/:username";

const userSchema = z
  .object({
    username: z.string(),
    email: z.string(),
    role: z.string(),
    permissions: z.array(z.string()),
    organization: z.string().nullable(),
    enabled: z.boolean(),
    default_admin: z.boolean(),
    has_password: z.boolean(),
    oidc_subject: z.string().nullable(),
    must_change_password: z.boolean(),
    created_at: z.string(),
    updated_at: z.string(),
    last_login_at: z.string().nullable(),
  })
  .meta({ id: "User" });
const params = z.strictObject({ username: usernameSchema });
/** They stand in the record for somebody else: the service itself, the configuration's token, whom nobody knows. */
const RESERVED: ReadonlySet<string> = new Set(["fettle", "api-token", "anonymous", "system"]);

const createSchema = z.strictObject({
  username: usernameSchema.refine((name) => !RESERVED.has(name), { error: "is a reserved name" }),
  email: emailSchema.default(""),
  role: roleNameSchema,
  permissions: permissionsSchema.default([]),
  organization: slugSchema.nullable().default(null),
  /** Left out: one is made up and shown once. null: none, for programs and people who sign in by OIDC. */
  password: passwordSchema.nullable().optional(),
  /** Which account at the identity provider this is (its `sub`); without it the first that comes by the name. */
  oidc_subject: subjectSchema.optional(),
  /** Who signed in longer than ten minutes ago proves again who they are. */
  current_password: currentPasswordSchema,
});
const updateSchema = z.strictObject({
  email: emailSchema.optional(),
  role: roleNameSchema.optional(),
  permissions: permissionsSchema.optional(),
  organization: slugSchema.nullable().optional(),
  enabled: z.boolean().optional(),
  /** Must be changed at the next login; null takes it away. */
  password: passwordSchema.nullable().optional(),
  /** null: the first account that comes by the name. */
  oidc_subject: subjectSchema.nullable().optional(),
  /** As for a new user: for all of it but `email`, and `enabled: false`. */
  current_password: currentPasswordSchema,
});

/** `/api/v1/users`: people and programs, and what they may do. */
export function addUserRoutes(router: Router, deps: UsersDeps): void {
  const { database } = deps;
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "user:read",
      summary: "all users by name; `next` of an answer is `after` of the next request",
      query: z.strictObject({
        limit: countOf(1, PAGE_MAX).default(PAGE_MAX),
        after: usernameSchema.optional(),
      }),
      answers: { 200: z.object({ users: z.array(userSchema), next: z.string().nullable() }) },
    },
    async ({ query: { limit, after }, principal: { organization } }) => {
      const users = await listUsers(database, { organization, after, limit: limit + 1 });
      const shown = users.slice(0, limit);
      const next = users.length > limit ? (shown.at(-1)?.username ?? null) : null;
      return { status: 200, body: { users: shown, next } };
    },
  );
  router.route(
    {
      method: "get",
      path: ITEM,
      permission: "user:read",
      summary: "one user",
      params,
      answers: { 200: userSchema },
    },
    async ({ params: { username }, principal }) =>
      shown(200, await readUser(database, username, principal.organization)),
  );
  addCreate(router, deps);
  addUpdate(router, deps);
  addDelete(router, deps);
}

function shown<const S extends number>(status: S, user: User) {
  return { status, body: user, headers: { ETag: etagOf(user.version) } };
}

function addCreate(router: Router, deps: UsersDeps): void {
  const { passwords, oidcIssuer } = deps;
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "user:create",
      summary: "makes a user; without a password one is made up and shown once",
      body: createSchema,
      answers: { 201: userSchema.extend({ one_time_password: z.string().optional() }) },
      mutates: {
        action: "UserCreated",
        resource: "user",
        secretAnswer: true,
        secretFields: ["password", "current_password"],
      },
    },
    async ({ body, principal, ip, change }) => {
      const { username, role, email, permissions, current_password: password } = body;
      const refusal = await mayNotMake(deps, USERS, { principal, ip, password });
      // Who belongs to an organization makes users of it.
      const organization = body.organization ?? principal.organization ?? null;
      const { hash, oneTime } = await firstPassword(passwords, body);
      const account = accountOf(body.oidc_subject, oidcIssuer, hash !== null);
      const facts = { role, permissions, organization, ...account };
      const about = organization ?? undefined;
      const subject = {
        id: username,
        summary: `Created the user ${username}`,
        facts,
        organization: about,
      };
      return change(subject, async (tx) => {
        if (refusal !== undefined) throw refusal; // within the change, so that it is on record
        const grant = {
          role,
          permissions,
          organization,
          role_permissions: await madeRole(tx, role),
        };
        requireMayGrant(principal, grant);
        await requireOrganization(tx, organization);
        await requireFreeAccount(tx, account, username);
        const { rowCount } = await tx.query(
          `INSERT INTO hypervisor_users (username, email, role, permissions, organization_id, password_hash, must_change, oidc_issuer, oidc_subject)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (username) DO NOTHING`,
          [
            ...[username, email, role, permissions, organization, hash, hash !== null],
            ...[account?.oidc_issuer ?? null, account?.oidc_subject ?? null],
          ],
        );
        if (rowCount === 0)
          throw new HttpProblem(409, "Conflict", `There is a user ${JSON.stringify(username)}.`);
        const { headers, body: user } = shown(201, await readUser(tx, username, undefined));
        const secret = oneTime === undefined ? {} : { one_time_password: oneTime };
        const place = { Location: `${COLLECTION}/${encodeURIComponent(username)}` };
        return { status: 201, body: { ...user, ...secret }, headers: { ...headers, ...place } };
      });
    },
  );
}

async function firstPassword(
  passwords: Passwords,
  { username, password, email }: Owner & { readonly password?: string | null | undefined },
): Promise<{ readonly hash: string | null; readonly oneTime?: string }> {
  if (password === null) return { hash: null };
  if (password !== undefined)
    return { hash: await passwordHash(passwords, password, { username, email }) };
  const oneTime = oneTimePassword();
  return { hash: await passwords.hash(oneTime), oneTime };
}

type Update = z.output<typeof updateSchema>;

/** Whether it gives anybody anything; what takes all away in an emergency asks for nothing. */
function gives({ enabled, role, permissions, organization, password, oidc_subject: s }: Update) {
  const given = [role, permissions, organization, password, s].some((each) => each !== undefined);
  return given || enabled === true;
}

function addUpdate(router: Router, deps: UsersDeps): void {
  const { passwords, database, oidcIssuer } = deps;
  router.route(
    {
      method: "put",
      path: ITEM,
      permission: "user:update",
      summary:
        "changes what is given of a user; other rights make its access tokens void, fewer end its sessions",
      params,
      body: updateSchema,
      answers: { 200: userSchema },
      mutates: { action: "UserUpdated", resource: "user" },
    },
    async ({ params: { username }, body: given, principal, ip, change, ifMatch }) => {
      const { current_password: current, ...body } = given;
      const { password } = body;
      const asking = { principal, ip, password: current };
      const refusal = gives(body) ? await mayNotMake(deps, USERS, asking) : undefined;
      const hash =
        typeof password === "string"
          ? await passwordHash(passwords, password, {
              username,
              email: body.email ?? (await emailOf(database, username, principal)),
            })
          : password;
      const said = { ...body, ...(password === undefined ? {} : { password: "changed" }) };
      const organization = await recordOf(database, principal, username);
      const summary = `Updated the user ${username}`;
      const subject = { id: username, summary, facts: said, organization };
      return change(subject, async (tx) => {
        if (refusal !== undefined) throw refusal;
        const before = await lockPerson(tx, username);
        requireMayManage(principal, before);
        ifMatch(etagOf((await readUser(tx, username, undefined)).version));
        await updateUser(tx, { principal, before, oidcIssuer }, { ...body, hash });
        return shown(200, await readUser(tx, username, undefined));
      });
    },
  );
}

function addDelete(router: Router, { database }: UsersDeps): void {
  router.route(
    {
      method: "delete",
      path: ITEM,
      permission: "user:delete",
      summary: "deletes a user with its tokens; never the default admin, nor the last one",
      params,
      answers: { 204: "nothing" },
      mutates: { action: "UserDeleted", resource: "user" },
    },
    async ({ params: { username }, principal, change, ifMatch }) => {
      const organization = await recordOf(database, principal, username);
      const subject = { id: username, summary: `Deleted the user ${username}`, organization };
      return change(subject, async (tx) => {
        const person = await lockPerson(tx, username);
        requireMayManage(principal, person);
        ifMatch(etagOf((await readUser(tx, username, undefined)).version));
        if (person.default_admin)
          throw new HttpProblem(409, "Conflict", "The default admin cannot be deleted.");
        if (principal.name === username)
          throw new HttpProblem(409, "Conflict", "Nobody deletes themselves.");
        if (isAdmin(person)) await requireOtherAdmin(tx, username);
        await tx.query("DELETE FROM hypervisor_users WHERE username = $1", [username]);
        return { status: 204 };
      });
    },
  );
}
