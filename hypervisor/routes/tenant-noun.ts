import { z } from "zod";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Call } from "../frame/call.ts";
import { etagOf } from "../frame/etag.ts";
import type { Router } from "../frame/router.ts";
import { lineSchema, slugSchema } from "../people/names.ts";
import { quotaSchema, type Quota } from "../people/quota.ts";
import type { EventSink, PlatformEvent } from "../types.ts";
import { utcColumn } from "../utc-column.ts";

export interface TenantDeps {
  readonly database: Database;
  readonly events: EventSink;
}

/** What organizations and VDCs have in common. */
interface TenantRow {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly quota: Quota;
  readonly created_at: string;
  readonly updated_at: string;
}

type StoredRow = TenantRow & { readonly version: number; readonly owner: string };

/** Organizations, or VDCs. */
export interface TenantNoun {
  readonly kind: "Organization" | "VDC";
  readonly resource: "organization" | "vdc";
  /** `/api/v1/organizations`. */
  readonly collection: string;
  readonly table: string;
  /** Of the table: whose it is. */
  readonly owner: "id" | "organization_id";
  /** Columns beside the common ones. */
  readonly columns: string;
  readonly schema: z.ZodType<TenantRow, TenantRow>;
}

export const tenantFields = {
  id: z.string(),
  name: z.string(),
  description: z.string(),
  quota: quotaSchema,
  created_at: z.string(),
  updated_at: z.string(),
};
export const tenantContent = {
  name: lineSchema.min(1).max(128),
  description: lineSchema.optional(),
  quota: quotaSchema.optional(),
};
const tenantChange = { ...tenantContent, name: tenantContent.name.optional() };
export const tenantParams = z.strictObject({ id: slugSchema });

const LIST_MAX = 1_000;

type Viewer = Pick<Call, "principal">;
type ItemCall = Pick<Call<{ readonly id: string }>, "params" | "principal" | "ifMatch">;
type Reason = "Created" | "Updated" | "Deleted";

/** Those of a caller's own organization, or all. @param organization only its own */
export async function listTenants(
  database: Queryable,
  noun: TenantNoun,
  { principal }: Viewer,
  organization?: string,
): Promise<StoredRow[]> {
  const { rows } = await database.query<StoredRow>(
    `${selectOf(noun)} WHERE ($1::text IS NULL OR ${noun.owner} = $1) AND ($2::text IS NULL OR ${noun.owner} = $2)
      ORDER BY id LIMIT ${LIST_MAX}`,
    [principal.organization ?? null, organization ?? null],
  );
  return rows;
}

/** @throws HttpProblem 404, also for another organization's */
export async function readTenant(
  database: Queryable,
  noun: TenantNoun,
  id: string,
  { principal }: Viewer,
  lock = "",
): Promise<StoredRow> {
  const { rows } = await database.query<StoredRow>(
    `${selectOf(noun)} WHERE id = $1 AND ($2::text IS NULL OR ${noun.owner} = $2) ${lock}`,
    [id, principal.organization ?? null],
  );
  const [row] = rows;
  if (row !== undefined) return row;
  const what = noun.kind === "VDC" ? "VDC" : "organization";
  throw new HttpProblem(404, "Not found", `There is no ${what} ${JSON.stringify(id)}.`);
}

function selectOf({ table, owner, columns }: TenantNoun): string {
  return `SELECT id, ${owner} AS owner, name, description, quota, ${columns}, ${utcColumn("created_at")},
    ${utcColumn("updated_at")}, version::float8 AS version FROM ${table}`;
}

export function shownTenant<const S extends number>(status: S, row: StoredRow) {
  return { status, body: row, headers: { ETag: etagOf(row.version) } };
}

/** How one of them is changed and deleted. */
interface ItemRules<C extends z.ZodRawShape> {
  readonly about: Readonly<Record<"read" | "update" | "delete", string>>;
  /** What else a change may have. */
  readonly change: C;
  readonly update?: (tx: Queryable, id: string, body: unknown) => Promise<void>;
  /** @throws HttpProblem 409 for what still needs it */
  readonly refuseDelete?: (tx: Queryable, id: string) => Promise<void>;
}

/** GET, PUT and DELETE of one. */
export function addTenantItem<C extends z.ZodRawShape>(
  router: Router,
  deps: TenantDeps,
  noun: TenantNoun,
  rules: ItemRules<C>,
): void {
  router.route(
    {
      method: "get",
      path: `${noun.collection}/:id`,
      permission: `${noun.resource}:read`,
      summary: rules.about.read,
      params: tenantParams,
      answers: { 200: noun.schema },
    },
    async (call) => shownTenant(200, await readTenant(deps.database, noun, call.params.id, call)),
  );
  addUpdate(router, deps, noun, rules);
  addDelete(router, deps, noun, rules);
}

function addUpdate<C extends z.ZodRawShape>(
  router: Router,
  { database, events }: TenantDeps,
  noun: TenantNoun,
  rules: ItemRules<C>,
): void {
  const { kind, resource, table } = noun;
  router.route(
    {
      method: "put",
      path: `${noun.collection}/:id`,
      permission: `${resource}:update`,
      summary: rules.about.update,
      params: tenantParams,
      body: z.strictObject({ ...tenantChange, ...rules.change }),
      answers: { 200: noun.schema },
      mutates: { action: `${kind}Updated`, resource },
    },
    async (call) => {
      const { id } = call.params;
      const body = call.body as z.output<z.ZodObject<typeof tenantChange>>;
      const { name, description, quota } = body;
      const { owner: organization } = await readTenant(database, noun, id, call);
      const subject = { id, summary: `Updated the ${said(kind)} ${id}`, facts: body, organization };
      const answer = await call.change(subject, async (tx) => {
        await lockVersion(tx, noun, call);
        await tx.query(
          `UPDATE ${table} SET name = coalesce($2, name), description = coalesce($3, description),
                  quota = coalesce($4, quota), version = version + 1, updated_at = now() WHERE id = $1`,
          [id, name ?? null, description ?? null, quota && JSON.stringify(quota)],
        );
        await rules.update?.(tx, id, body);
        return shownTenant(200, await readTenant(tx, noun, id, call));
      });
      await events.record(tenantEvent(noun, call, { id, organization }, "Updated"));
      return answer;
    },
  );
}

function addDelete<C extends z.ZodRawShape>(
  router: Router,
  { database, events }: TenantDeps,
  noun: TenantNoun,
  rules: ItemRules<C>,
): void {
  const { kind, resource, table } = noun;
  router.route(
    {
      method: "delete",
      path: `${noun.collection}/:id`,
      permission: `${resource}:delete`,
      summary: rules.about.delete,
      params: tenantParams,
      answers: { 204: "nothing" },
      mutates: { action: `${kind}Deleted`, resource },
    },
    async (call) => {
      const { id } = call.params;
      const { owner: organization } = await readTenant(database, noun, id, call);
      const subject = { id, summary: `Deleted the ${said(kind)} ${id}`, organization };
      const answer = await call.change(subject, async (tx) => {
        await lockVersion(tx, noun, call);
        await rules.refuseDelete?.(tx, id);
        await tx.query(`DELETE FROM ${table} WHERE id = $1`, [id]);
        return { status: 204 };
      });
      await events.record(tenantEvent(noun, call, { id, organization }, "Deleted"));
      return answer;
    },
  );
}

/** @throws HttpProblem 404, and 412 when `If-Match` names an older one */
async function lockVersion(tx: Queryable, noun: TenantNoun, call: ItemCall): Promise<void> {
  call.ifMatch(etagOf((await readTenant(tx, noun, call.params.id, call, "FOR UPDATE")).version));
}

function said(kind: TenantNoun["kind"]): string {
  return kind === "VDC" ? kind : kind.toLowerCase();
}

/** What its people are told. */
export function tenantEvent(
  { kind }: TenantNoun,
  { principal }: Viewer,
  { id, organization }: { readonly id: string; readonly organization: string },
  reason: Reason,
): PlatformEvent {
  return {
    type: "Normal",
    reason: `${kind}${reason}`,
    message: `${kind} ${id} was ${reason.toLowerCase()} by ${principal.name}`,
    kind,
    name: id,
    namespace: organization,
    username: principal.name,
  };
}
