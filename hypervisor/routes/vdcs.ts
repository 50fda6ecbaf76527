import { z } from "zod";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Call } from "../frame/call.ts";
import { etagOf } from "../frame/etag.ts";
import type { Router } from "../frame/router.ts";
import { lineSchema, slugSchema } from "../people/names.ts";
import { quotaSchema, type Quota } from "../people/quota.ts";
import { requireOrganization } from "../people/users.ts";
import type { EventSink } from "../types.ts";
import { utcColumn } from "../utc-column.ts";

interface VdcDeps {
  readonly database: Database;
  readonly events: EventSink;
}

const COLLECTION = "/api/v1/vdcs";
const ITEM = "/api/v1/vdcs/:id";
const LIST_MAX = 1_000;

const vdcSchema = z
  .object({
    id: z.string(),
    organization: z.string(),
    name: z.string(),
    description: z.string(),
    project: z.string(),
    quota: quotaSchema,
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: "VDC" });
const params = z.strictObject({ id: slugSchema });
const content = {
  name: lineSchema.min(1).max(128),
  description: lineSchema.optional(),
  quota: quotaSchema.optional(),
};

interface Vdc {
  readonly id: string;
  readonly organization: string;
  readonly name: string;
  readonly description: string;
  readonly project: string;
  readonly quota: Quota;
  readonly created_at: string;
  readonly updated_at: string;
  readonly version: number;
}

const VDC = `id, organization_id AS organization, name, description, project, quota,
  ${utcColumn("created_at")}, ${utcColumn("updated_at")}, version::float8 AS version`;

/** `/api/v1/vdcs`: virtual data centres: a project of the backend, whose it is, and how much it may hold. */
export function addVdcRoutes(router: Router, deps: VdcDeps): void {
  const { database } = deps;
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "vdc:read",
      summary: "the VDCs that the caller may see",
      query: z.strictObject({ organization: slugSchema.optional() }),
      answers: { 200: z.object({ vdcs: z.array(vdcSchema) }) },
    },
    async ({ query, principal }) => {
      const { rows } = await database.query<Vdc>(
        `SELECT ${VDC} FROM hypervisor_vdcs
          WHERE ($1::text IS NULL OR organization_id = $1) AND ($2::text IS NULL OR organization_id = $2)
          ORDER BY id LIMIT ${LIST_MAX}`,
        [principal.organization ?? null, query.organization ?? null],
      );
      return { status: 200, body: { vdcs: rows } };
    },
  );
  router.route(
    {
      method: "get",
      path: ITEM,
      permission: "vdc:read",
      summary: "one VDC",
      params,
      answers: { 200: vdcSchema },
    },
    async (call) => shown(200, await read(database, call)),
  );
  addCreate(router, deps);
  addUpdate(router, deps);
  addDelete(router, deps);
}

function shown<const S extends number>(status: S, vdc: Vdc) {
  return { status, body: vdc, headers: { ETag: etagOf(vdc.version) } };
}

type VdcCall = Pick<Call<{ readonly id: string }>, "params" | "principal">;

/** @throws HttpProblem 404, also for another organization's */
async function read(
  database: Queryable,
  { params: { id }, principal }: VdcCall,
  lock = "",
): Promise<Vdc> {
  const { rows } = await database.query<Vdc>(
    `SELECT ${VDC} FROM hypervisor_vdcs WHERE id = $1 AND ($2::text IS NULL OR organization_id = $2) ${lock}`,
    [id, principal.organization ?? null],
  );
  const [row] = rows;
  if (row === undefined)
    throw new HttpProblem(404, "Not found", `There is no VDC ${JSON.stringify(id)}.`);
  return row;
}

function addCreate(router: Router, { events }: VdcDeps): void {
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "vdc:create",
      summary: "gives an organization a project of the backend",
      body: z.strictObject({
        id: slugSchema,
        organization: slugSchema,
        project: slugSchema.optional(),
        ...content,
      }),
      answers: { 201: vdcSchema },
      mutates: { action: "VDCCreated", resource: "vdc" },
    },
    async (call) => {
      const { id, organization, name, description = "", quota = {}, project = id } = call.body;
      const facts = { organization, project, quota };
      const answer = await call.change(
        { id, summary: `Created the VDC ${id}`, facts, organization },
        async (tx) => {
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
          return shown(201, await read(tx, { params: { id }, principal: call.principal }));
        },
      );
      await tell(events, call, answer.body, "VDCCreated");
      return answer;
    },
  );
}

function addUpdate(router: Router, { database, events }: VdcDeps): void {
  router.route(
    {
      method: "put",
      path: ITEM,
      permission: "vdc:update",
      summary: "changes name, description or quota of a VDC",
      params,
      body: z.strictObject({ ...content, name: content.name.optional() }),
      answers: { 200: vdcSchema },
      mutates: { action: "VDCUpdated", resource: "vdc" },
    },
    async (call) => {
      const { id } = call.params;
      const { name, description, quota } = call.body;
      const { organization } = await read(database, call);
      const subject = { id, summary: `Updated the VDC ${id}`, facts: call.body, organization };
      const answer = await call.change(subject, async (tx) => {
        call.ifMatch(etagOf((await read(tx, call, "FOR UPDATE")).version));
        await tx.query(
          `UPDATE hypervisor_vdcs SET name = coalesce($2, name), description = coalesce($3, description),
                  quota = coalesce($4, quota), version = version + 1, updated_at = now() WHERE id = $1`,
          [id, name ?? null, description ?? null, quota && JSON.stringify(quota)],
        );
        return shown(200, await read(tx, call));
      });
      await tell(events, call, answer.body, "VDCUpdated");
      return answer;
    },
  );
}

function addDelete(router: Router, { database, events }: VdcDeps): void {
  router.route(
    {
      method: "delete",
      path: ITEM,
      permission: "vdc:delete",
      summary: "takes a project from its organization; what runs in it stays",
      params,
      answers: { 204: "nothing" },
      mutates: { action: "VDCDeleted", resource: "vdc" },
    },
    async (call) => {
      const { id } = call.params;
      const before = await read(database, call);
      const { organization } = before;
      const answer = await call.change(
        { id, summary: `Deleted the VDC ${id}`, organization },
        async (tx) => {
          call.ifMatch(etagOf((await read(tx, call, "FOR UPDATE")).version));
          await tx.query("DELETE FROM hypervisor_vdcs WHERE id = $1", [id]);
          return { status: 204 };
        },
      );
      await tell(events, call, before, "VDCDeleted");
      return answer;
    },
  );
}

async function tell(
  events: EventSink,
  { principal }: Pick<Call, "principal">,
  { id, organization }: Pick<Vdc, "id" | "organization">,
  reason: "VDCCreated" | "VDCUpdated" | "VDCDeleted",
): Promise<void> {
  const done = reason.replace("VDC", "").toLowerCase();
  await events.record({
    type: "Normal",
    reason,
    message: `VDC ${id} was ${done} by ${principal.name}`,
    kind: "VDC",
    name: id,
    namespace: organization,
    username: principal.name,
  });
}
