import { z } from "zod";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Router } from "../frame/router.ts";
import { slugSchema } from "../people/names.ts";
import {
  addTenantItem,
  listTenants,
  readTenant,
  shownTenant,
  tenantContent,
  tenantEvent,
  tenantFields,
  type TenantDeps,
  type TenantNoun,
} from "./tenant-noun.ts";

const organizationSchema = z
  .object({ ...tenantFields, enabled: z.boolean() })
  .meta({ id: "Organization" });

/** The noun itself. */
export const ORGANIZATIONS: TenantNoun = {
  kind: "Organization",
  resource: "organization",
  collection: "/api/v1/organizations",
  table: "hypervisor_organizations",
  owner: "id",
  columns: "enabled",
  schema: organizationSchema,
};

/** `/api/v1/organizations`: tenants. A member sees their own only. */
export function addOrganizationRoutes(router: Router, deps: TenantDeps): void {
  const { database } = deps;
  router.route(
    {
      method: "get",
      path: ORGANIZATIONS.collection,
      permission: "organization:read",
      summary: "the organizations that the caller may see",
      answers: { 200: z.object({ organizations: z.array(ORGANIZATIONS.schema) }) },
    },
    async (call) => ({
      status: 200,
      body: { organizations: await listTenants(database, ORGANIZATIONS, call) },
    }),
  );
  addCreate(router, deps);
  addTenantItem(router, deps, ORGANIZATIONS, {
    about: {
      read: "one organization",
      update: "changes what is given of an organization; disabled, nobody of it comes in",
      delete: "deletes an organization that has neither users nor VDCs",
    },
    change: { enabled: z.boolean().optional() },
    update: setEnabled,
    refuseDelete: refuseWithDependants,
  });
}

function addCreate(router: Router, { events }: TenantDeps): void {
  router.route(
    {
      method: "post",
      path: ORGANIZATIONS.collection,
      permission: "organization:create",
      summary: "makes an organization",
      body: z.strictObject({ id: slugSchema, ...tenantContent }),
      answers: { 201: ORGANIZATIONS.schema },
      mutates: { action: "OrganizationCreated", resource: "organization" },
    },
    async (call) => {
      const { id, name, description = "", quota = {} } = call.body;
      const summary = `Created the organization ${id}`;
      const subject = { id, summary, facts: { quota }, organization: id };
      const answer = await call.change(subject, async (tx) => {
        const { rowCount } = await tx.query(
          `INSERT INTO hypervisor_organizations (id, name, description, quota) VALUES ($1, $2, $3, $4)
           ON CONFLICT DO NOTHING`,
          [id, name, description, JSON.stringify(quota)],
        );
        if (rowCount === 0)
          throw new HttpProblem(409, "Conflict", `There is an organization ${id}.`);
        return shownTenant(201, await readTenant(tx, ORGANIZATIONS, id, call));
      });
      await events.record(tenantEvent(ORGANIZATIONS, call, { id, organization: id }, "Created"));
      return answer;
    },
  );
}

async function setEnabled(tx: Queryable, id: string, body: unknown): Promise<void> {
  const { enabled } = body as { readonly enabled?: boolean };
  if (enabled === undefined) return;
  await tx.query("UPDATE hypervisor_organizations SET enabled = $2 WHERE id = $1", [id, enabled]);
}

async function refuseWithDependants(tx: Queryable, id: string): Promise<void> {
  const { rows } = await tx.query<{ dependant: string }>(
    `SELECT 'VDC ' || id AS dependant FROM hypervisor_vdcs WHERE organization_id = $1
     UNION ALL SELECT 'user ' || username FROM hypervisor_users WHERE organization_id = $1
     ORDER BY 1 LIMIT 5`,
    [id],
  );
  if (rows.length === 0) return;
  const named = rows.map(({ dependant }) => dependant).join(", ");
  throw new HttpProblem(409, "Conflict", `The organization still has ${named}.`);
}
