import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Call } from "../frame/call.ts";
import type { Router } from "../frame/router.ts";
import { slugSchema } from "../people/names.ts";
import { requireOrganization } from "../people/users.ts";
import type { EventSink } from "../types.ts";
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

const vdcSchema = z
  .object({ ...tenantFields, organization: z.string(), project: z.string() })
  .meta({ id: "VDC" });

const NOUN: TenantNoun = {
  kind: "VDC",
  resource: "vdc",
  collection: "/api/v1/vdcs",
  table: "hypervisor_vdcs",
  owner: "organization_id",
  columns: "organization_id AS organization, project",
  schema: vdcSchema,
};

/** `/api/v1/vdcs`: virtual data centres: a project of the backend, whose it is, and how much it may hold. */
export function addVdcRoutes(router: Router, deps: TenantDeps): void {
  const { database } = deps;
  router.route(
    {
      method: "get",
      path: NOUN.collection,
      permission: "vdc:read",
      summary: "the VDCs that the caller may see",
      query: z.strictObject({ organization: slugSchema.optional() }),
      answers: { 200: z.object({ vdcs: z.array(NOUN.schema) }) },
    },
    async (call) => {
      const vdcs = await listTenants(database, NOUN, call, call.query.organization);
      return { status: 200, body: { vdcs } };
    },
  );
  addCreate(router, deps);
  addTenantItem(router, deps, NOUN, {
    about: {
      read: "one VDC",
      update: "changes name, description or quota of a VDC",
      delete: "takes a project from its organization; what runs in it stays",
    },
    change: {},
  });
}

function addCreate(router: Router, { events }: TenantDeps): void {
  router.route(
    {
      method: "post",
      path: NOUN.collection,
      permission: "vdc:create",
      summary: "gives an organization a project of the backend",
      body: z.strictObject({
        id: slugSchema,
        organization: slugSchema,
        project: slugSchema.optional(),
        ...tenantContent,
      }),
      answers: { 201: NOUN.schema },
      mutates: { action: "VDCCreated", resource: "vdc" },
    },
    async (call) => {
      const { id, organization, name, description = "", quota = {}, project = id } = call.body;
      const facts = { organization, project, quota };
      const subject = { id, summary: `Created the VDC ${id}`, facts, organization };
      const created = call.change(subject, async (tx) => {
        await requireOrganization(tx, organization);
        const { rowCount } = await tx.query(
          `INSERT INTO hypervisor_vdcs (id, organization_id, name, description, project, quota)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
          [id, organization, name, description, project, JSON.stringify(quota)],
        );
        if (rowCount === 0)
          throw new HttpProblem(
            409,
            "Conflict",
            `There is a VDC ${id}, or one of the project ${project}.`,
          );
        return shownTenant(201, await readTenant(tx, NOUN, id, call));
      });
      const answer = await orTellFailure(created, events, call);
      await events.record(tenantEvent(NOUN, call, { id, organization }, "Created"));
      return answer;
    },
  );
}

/** A dry run fails nothing. */
async function orTellFailure<R>(
  created: Promise<R>,
  events: EventSink,
  {
    principal,
    dryRun,
    body,
  }: Pick<
    Call<unknown, unknown, { readonly id: string; readonly organization: string }>,
    "principal" | "dryRun" | "body"
  >,
): Promise<R> {
  try {
    return await created;
  } catch (error) {
    if (!dryRun && error instanceof HttpProblem)
      await events.record({
        type: "Warning",
        reason: "CreationFailed",
        message: `VDC ${body.id} was not created for ${principal.name}: ${error.detail ?? error.title}`,
        kind: "VDC",
        name: body.id,
        namespace: body.organization,
        username: principal.name,
      });
    throw error;
  }
}
