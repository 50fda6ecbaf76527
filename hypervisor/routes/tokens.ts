import { z } from "zod";
import { newId } from "../../lib/id.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { newApiToken } from "../auth/api-tokens.ts";
import { permissionsOf } from "../auth/person.ts";
import { currentPasswordSchema, mayNotMake, type RecentDeps } from "../auth/recent-sign-in.ts";
import type { Router } from "../frame/router.ts";
import { requireHas, requireMayManage } from "../people/grant.ts";
import { lineSchema, permissionsSchema, usernameSchema } from "../people/names.ts";
import { lockPerson, recordOf } from "../people/users.ts";
import { covers, expand } from "../permissions.ts";
import type { Principal } from "../types.ts";
import { utcColumn } from "../utc-column.ts";

const COLLECTION = "/api/v1/tokens";
const DAYS = { max: 365, default: 90 } as const;
/** Of one owner: a program that makes one at each start is found out. */
const TOKENS_MAX = 50;

const tokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    owner: z.string(),
    permissions: z.array(z.string()),
    created_at: z.string(),
    expires_at: z.string(),
    last_used_at: z.string().nullable(),
  })
  .meta({ id: "ApiToken" });
const createSchema = z.strictObject({
  name: lineSchema.min(1).max(64),
  permissions: permissionsSchema,
  expires_in_days: z.int().min(1).max(DAYS.max).default(DAYS.default),
  /** Another user, a program for instance; the caller must be allowed to change that user. */
  owner: usernameSchema.optional(),
  /** Who signed in longer than ten minutes ago proves again who they are. */
  current_password: currentPasswordSchema,
});
const ownerQuery = z.strictObject({ owner: usernameSchema.optional() });

interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly permissions: string[];
  readonly created_at: string;
  readonly expires_at: string;
  readonly last_used_at: string | null;
}

const TOKEN = `id, name, owner, permissions, ${utcColumn("created_at")}, ${utcColumn("expires_at")}, ${utcColumn("last_used_at")}`;

/** `/api/v1/tokens`: for programs, with fewer rights than their owner; only their hashes are kept. */
export function addTokenRoutes(router: Router, deps: RecentDeps): void {
  const { database } = deps;
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "signed-in",
      summary: "my tokens that are valid, or another user's; a token sees itself",
      query: ownerQuery,
      answers: { 200: z.object({ tokens: z.array(tokenSchema) }) },
    },
    async (call) => {
      const { principal } = call;
      const { owner } = call.query;
      const whose = owner ?? principal.name;
      if (whose !== principal.name) {
        await call.require("user:update", whose);
        requireMayManage(principal, await lockPerson(database, whose));
      }
      const itself = covers(principal.permissions, "user:update") ? undefined : principal.token;
      const { rows } = await database.query<ApiToken>(
        `SELECT ${TOKEN} FROM hypervisor_api_tokens
          WHERE owner = $1 AND revoked_at IS NULL AND expires_at > now() AND ($2::text IS NULL OR id = $2)
          ORDER BY id LIMIT ${TOKENS_MAX}`,
        [whose, itself ?? null],
      );
      return { status: 200, body: { tokens: rows } };
    },
  );
  addCreate(router, deps);
  addRevoke(router, database);
}

function addCreate(router: Router, deps: RecentDeps): void {
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "signed-in",
      summary:
        "makes a token, shown once, with some of its owner's permissions; soon after a sign-in",
      body: createSchema,
      answers: { 201: tokenSchema.extend({ token: z.string() }) },
      mutates: {
        action: "TokenCreated",
        resource: "token",
        secretAnswer: true,
        secretFields: ["current_password"],
      },
    },
    async (call) => {
      const { body, principal, ip } = call;
      const { current_password: password } = body;
      const { name, permissions, expires_in_days: days, owner = principal.name } = body;
      if (owner !== principal.name) await call.require("user:update", owner);
      const id = newId("tok");
      const { token, hash } = newApiToken();
      const facts = { name, owner, permissions, days };
      const organization = await recordOf(deps.database, principal, owner);
      const refusal = await mayNotMake(deps, "tokens", { principal, ip, password });
      const subject = { id, summary: `Created the token ${name} of ${owner}`, facts, organization };
      return call.change(subject, async (tx) => {
        if (refusal !== undefined) throw refusal; // within the change, so that it is on record
        await requireFewer(tx, principal, owner, permissions);
        const { rows } = await tx.query<ApiToken>(
          `INSERT INTO hypervisor_api_tokens (id, hash, owner, name, permissions, expires_at)
           VALUES ($1, $2, $3, $4, $5, now() + make_interval(days => $6)) RETURNING ${TOKEN}`,
          [id, hash, owner, name, permissions, days],
        );
        const [row] = rows;
        if (row === undefined) throw new Error("the token was not stored");
        return { status: 201, body: { ...row, token } };
      });
    },
  );
}

/** @throws HttpProblem 400, 403, 404, 409 */
async function requireFewer(
  tx: Queryable,
  principal: Principal,
  owner: string,
  permissions: readonly string[],
): Promise<void> {
  const person = await lockPerson(tx, owner);
  if (owner !== principal.name) requireMayManage(principal, person);
  requireHas(principal, permissions);
  const has = permissionsOf(person);
  const missing = expand(permissions).filter((each) => !covers(has, each));
  if (missing.length > 0)
    throw new HttpProblem(
      403,
      "Not permitted",
      `${owner} does not have ${missing.slice(0, 5).join(", ")}`,
    );
  const { rows } = await tx.query<{ tokens: number }>(
    `SELECT count(*)::float8 AS tokens FROM hypervisor_api_tokens
      WHERE owner = $1 AND revoked_at IS NULL AND expires_at > now()`,
    [owner],
  );
  if ((rows[0]?.tokens ?? 0) >= TOKENS_MAX)
    throw new HttpProblem(409, "Conflict", `${owner} has ${TOKENS_MAX} tokens: revoke some first.`);
}

function addRevoke(router: Router, database: Database): void {
  router.route(
    {
      method: "delete",
      path: "/api/v1/tokens/:id",
      permission: "signed-in",
      summary: "revokes a token, at once",
      params: z.strictObject({
        id: z.string().regex(/^tok_[a-z0-9]{1,60}$/, { error: "is no token's id" }),
      }),
      answers: { 204: "nothing" },
      mutates: { action: "TokenRevoked", resource: "token" },
    },
    async (call) => {
      const { principal } = call;
      const { id } = call.params;
      const owner = await ownerOf(database, id, principal);
      const another = principal.token !== undefined && principal.token !== id; // one that leaks must not stop the others
      if (owner !== principal.name || another) await call.require("user:update", id);
      const summary = `Revoked a token of ${owner ?? "nobody"}`;
      const organization = await recordOf(database, principal, owner ?? "");
      return call.change({ id, summary, organization }, async (tx) => {
        if (owner === undefined) throw new HttpProblem(404, "Not found", "There is no such token.");
        if (owner !== principal.name) requireMayManage(principal, await lockPerson(tx, owner));
        await tx.query(
          "UPDATE hypervisor_api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1",
          [id],
        );
        return { status: 204 };
      });
    },
  );
}

/** Undefined also for a token of another organization: neither the answer nor the record may tell whose it is. */
async function ownerOf(
  database: Queryable,
  id: string,
  { organization }: Principal,
): Promise<string | undefined> {
  const { rows } = await database.query<{ owner: string }>(
    `SELECT t.owner FROM hypervisor_api_tokens t JOIN hypervisor_users u ON u.username = t.owner
      WHERE t.id = $1 AND ($2::text IS NULL OR u.organization_id = $2)`,
    [id, organization ?? null],
  );
  return rows[0]?.owner;
}
