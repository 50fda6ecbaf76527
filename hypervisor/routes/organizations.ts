import { z } from "zod";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { etagOf } from "../frame/etag.ts";
import type { Call } from "../frame/call.ts";
import type { Router } from "../frame/router.ts";
import { lineSchema, slugSchema } from "../people/names.ts";
import { quotaSchema, type Quota } from "../people/quota.ts";
import type { EventSink } from "../types.ts";
import { utcColumn } from "../utc-column.ts";

interface OrganizationDeps {
  readonly database: Database;
  readonly events: EventSink;
}

const COLLECTION = "/api/v1/organizations";
const ITEM = "/api/v1/organizations/:id";
const LIST_MAX = 1_000;

const organizationSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    description: z.string(),
    enabled: z.boolean(),
    quota: quotaSchema,
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: "Organization" });
const params = z.strictObject({ id: slugSchema });
const content = {
  name: lineSchema.min(1).max(128),
  description: lineSchema.optional(),
  quota: quotaSchema.optional(),
};

interface Organization {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly enabled: boolean;
  readonly quota: Quota;
  readonly created_at: string;
  readonly updated_at: string;
  readonly version: number;
}

const ORGANIZATION = `id, name, description, enabled, quota, ${utcColumn("created_at")}, ${utcColumn("updated_at")}, version::float8 AS version`;

/** `/api/v1/organizations`: tenants. A member sees their own only. */
export function addOrganizationRoutes(router: Router, deps: OrganizationDeps): void {
  const { database } = deps;
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "organization:read",
      summary: "the organizations that the caller may see",
      answers: { 200: z.object({ organizations: z.array(organizationSchema) }) },
    },
    async ({ principal: { organization } }) => {
      const { rows } = await database.query<Organization>(
        `SELECT ${ORGANIZATION} FROM hypervisor_organizations
          WHERE ($1::text IS NULL OR id = $1) ORDER BY id LIMIT ${LIST_MAX}`,
        [organization ?? null],
      );
      return { status: 200, body: { organizations: rows } };
    },
  );
  router.route(
    {
      method: "get",
      path: ITEM,
      permission: "organization:read",
      summary: "one organization",
      params,
      answers: { 200: organizationSchema },
    },
    async ({ params: { id }, principal: { organization } }) => {
      if (organization !== undefined && organization !== id) throw missing(id);
      return shown(200, await read(database, id));
    },
  );
  addCreate(router, deps);
  addUpdate(router, deps);
  addDelete(router, deps);
}

function shown<const S extends number>(status: S, organization: Organization) {
  return { status, body: organization, headers: { ETag: etagOf(organization.version) } };
}

function missing(id: string): HttpProblem {
  return new HttpProblem(404, "Not found", `There is no organization ${JSON.stringify(id)}.`);
}

async function read(database: Queryable, id: string, lock = ""): Promise<Organization> {
  const { rows } = await database.query<Organization>(
    `SELECT ${ORGANIZATION} FROM hypervisor_organizations WHERE id = $1 ${lock}`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) throw missing(id);
  return row;
}

function addCreate(router: Router, { events }: OrganizationDeps): void {
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "organization:create",
      summary: "makes an organization",
      body: z.strictObject({ id: slugSchema, ...content }),
      answers: { 201: organizationSchema },
      mutates: { action: "OrganizationCreated", resource: "organization" },
    },
    async (call) => {
      const { id, name, description = "", quota = {} } = call.body;
      const subject = {
        id,
        summary: `Created the organization ${id}`,
        facts: { quota },
        organization: id,
      };
      const answer = await call.change(subject, async (tx) => {
        const { rowCount } = await tx.query(
          `INSERT INTO hypervisor_organizations (id, name, description, quota) VALUES ($1, $2, $3, $4)
           ON CONFLICT DO NOTHING`,
          [id, name, description, JSON.stringify(quota)],
        );
        if (rowCount === 0)
          throw new HttpProblem(409, "Conflict", `There is an organization ${id}.`);
        return shown(201, await read(tx, id));
      });
      await tell(events, call, id, "OrganizationCreated");
      return answer;
    },
  );
}

function addUpdate(router: Router, { events }: OrganizationDeps): void {
  router.route(
    {
      method: "put",
      path: ITEM,
      permission: "organization:update",
      summary: "changes what is given of an organization; disabled, nobody of it comes in",
      params,
      body: z.strictObject({
        ...content,
        name: content.name.optional(),
        enabled: z.boolean().optional(),
      }),
      answers: { 200: organizationSchema },
      mutates: { action: "OrganizationUpdated", resource: "organization" },
    },
    async (call) => {
      const { id } = call.params;
      const { name, description, quota, enabled } = call.body;
      const subject = {
        id,
        summary: `Updated the organization ${id}`,
        facts: call.body,
        organization: id,
      };
      const answer = await call.change(subject, async (tx) => {
        call.ifMatch(etagOf((await read(tx, id, "FOR UPDATE")).version));
        await tx.query(
          `UPDATE hypervisor_organizations SET name = coalesce($2, name), description = coalesce($3, description),
                  quota = coalesce($4, quota), enabled = coalesce($5, enabled), version = version + 1, updated_at = now()
            WHERE id = $1`,
          [id, name ?? null, description ?? null, quota && JSON.stringify(quota), enabled ?? null],
        );
        return shown(200, await read(tx, id));
      });
      await tell(events, call, id, "OrganizationUpdated");
      return answer;
    },
  );
}

function addDelete(router: Router, { events }: OrganizationDeps): void {
  router.route(
    {
      method: "delete",
      path: ITEM,
      permission: "organization:delete",
      summary: "deletes an organization that has neither users nor VDCs",
      params,
      answers: { 204: "nothing" },
      mutates: { action: "OrganizationDeleted", resource: "organization" },
    },
    async (call) => {
      const { id } = call.params;
      const answer = await call.change(
        { id, summary: `Deleted the organization ${id}` },
        async (tx) => {
          call.ifMatch(etagOf((await read(tx, id, "FOR UPDATE")).version));
          const { rows } = await tx.query<{ dependant: string }>(
            `SELECT 'VDC ' || id AS dependant FROM hypervisor_vdcs WHERE organization_id = $1
           UNION ALL SELECT 'user ' || username FROM hypervisor_users WHERE organization_id = $1
           ORDER BY 1 LIMIT 5`,
            [id],
          );
          if (rows.length > 0) {
            const named = rows.map(({ dependant }) => dependant).join(", ");
            throw new HttpProblem(409, "Conflict", `The organization still has ${named}.`);
          }
          await tx.query("DELETE FROM hypervisor_organizations WHERE id = $1", [id]);
          return { status: 204 };
        },
      );
      await tell(events, call, id, "OrganizationDeleted");
      return answer;
    },
  );
}

async function tell(
  events: EventSink,
  { principal }: Pick<Call, "principal">,
  id: string,
  reason: "OrganizationCreated" | "OrganizationUpdated" | "OrganizationDeleted",
): Promise<void> {
  const done = reason.replace("Organization", "").toLowerCase();
  await events.record({
    type: "Normal",
    reason,
    message: `Organization ${id} was ${done} by ${principal.name}`,
    kind: "Organization",
    name: id,
    namespace: id,
    username: principal.name,
  });
}
