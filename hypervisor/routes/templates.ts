import { z } from "zod";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { etagOf } from "../frame/etag.ts";
import type { Router } from "../frame/router.ts";
import { progressSchema } from "../operations/shown-progress.ts";
import { lineSchema, slugSchema } from "../people/names.ts";
import { explain } from "../permissions.ts";
import type { Principal } from "../types.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { createContainer, resourceFields, specFields, startField } from "./create-container.ts";
import { nameSchema, projectQuery } from "./names.ts";
import { utcColumn } from "../utc-column.ts";

const COLLECTION = "/api/v1/templates";
const ITEM = `${COLLECTION}/:template`;
const LIST_MAX = 1_000;

const specSchema = z.strictObject(specFields);
/** What was written under older rules is shown as it is; the backend refuses it. */
const storedSchema = z.strictObject({
  ...specFields,
  image: z.string(),
  labels: z.record(z.string(), z.string()).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  command: z.array(z.string()).optional(),
});
const params = z.strictObject({ template: slugSchema });
const content = { description: lineSchema.default(""), spec: specSchema };
const templateSchema = z
  .object({
    name: z.string(),
    description: z.string(),
    spec: storedSchema,
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: "Template" });

interface Template {
  readonly name: string;
  readonly description: string;
  readonly spec: z.output<typeof specSchema>;
  readonly created_at: string;
  readonly updated_at: string;
  readonly version: number;
}

const TEMPLATE = `name, description, spec, version::float8 AS version, ${utcColumn("created_at")}, ${utcColumn("updated_at")}`;

/** `/api/v1/templates`: what containers are made from again and again. */
export function addTemplateRoutes(router: Router, deps: ContainerDeps): void {
  const { database } = deps.operations;
  addReads(router, database);
  addCreate(router);
  addUpdate(router);
  addRemove(router);
  addUse(router, deps);
}

/** Environments hold secrets: only who may write templates reads the values. */
function visible({ spec, ...template }: Template, principal: Principal): Template {
  const { environment } = spec;
  if (environment === undefined || explain(principal, "template:write").allowed)
    return { ...template, spec };
  const hidden = Object.fromEntries(Object.keys(environment).map((name) => [name, "[hidden]"]));
  return { ...template, spec: { ...spec, environment: hidden } };
}

function shown<const S extends number>(status: S, template: Template) {
  return { status, body: template, headers: { ETag: etagOf(template.version) } };
}

/** @throws HttpProblem 404 */
async function read(database: Queryable, name: string, lock = ""): Promise<Template> {
  const { rows } = await database.query<Template>(
    `SELECT ${TEMPLATE} FROM hypervisor_templates WHERE name = $1 ${lock}`,
    [name],
  );
  const [row] = rows;
  if (row === undefined) throw new HttpProblem(404, "Not found", `There is no template ${name}.`);
  return row;
}

function addReads(router: Router, database: Database): void {
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "template:read",
      summary: "the container templates",
      answers: { 200: z.object({ templates: z.array(templateSchema) }) },
    },
    async ({ principal }) => {
      const { rows } = await database.query<Template>(
        `SELECT ${TEMPLATE} FROM hypervisor_templates ORDER BY name LIMIT ${LIST_MAX}`,
      );
      return { status: 200, body: { templates: rows.map((each) => visible(each, principal)) } };
    },
  );
  router.route(
    {
      method: "get",
      path: ITEM,
      permission: "template:read",
      summary: "one template; the values of its environment are for those who may change it",
      params,
      answers: { 200: templateSchema },
    },
    async ({ params: { template }, principal }) =>
      shown(200, visible(await read(database, template), principal)),
  );
}

function addCreate(router: Router): void {
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "template:write",
      summary: "makes a template",
      body: z.strictObject({ name: slugSchema, ...content }),
      answers: { 201: templateSchema },
      mutates: { action: "TemplateCreated", resource: "template" },
    },
    async (call) => {
      const { name, description, spec } = call.body;
      const subject = { id: name, summary: `Made the template ${name} of ${spec.image}` };
      return call.change(subject, async (tx) => {
        const { rowCount } = await tx.query(
          "INSERT INTO hypervisor_templates (name, description, spec) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
          [name, description, JSON.stringify(spec)],
        );
        if (rowCount === 0) throw new HttpProblem(409, "Conflict", `There is a template ${name}.`);
        const answer = shown(201, await read(tx, name));
        return { ...answer, headers: { ...answer.headers, Location: `${COLLECTION}/${name}` } };
      });
    },
  );
}

function addUpdate(router: Router): void {
  router.route(
    {
      method: "put",
      path: ITEM,
      permission: "template:write",
      summary: "puts another content into a template; containers made from it stay as they are",
      params,
      body: z.strictObject(content),
      answers: { 200: templateSchema },
      mutates: { action: "TemplateUpdated", resource: "template" },
    },
    async (call) => {
      const { template: name } = call.params;
      const { description, spec } = call.body;
      const subject = { id: name, summary: `Changed the template ${name}` };
      return call.change(subject, async (tx) => {
        call.ifMatch(etagOf((await read(tx, name, "FOR UPDATE")).version));
        await tx.query(
          `UPDATE hypervisor_templates SET description = $2, spec = $3, version = version + 1, updated_at = now()
            WHERE name = $1`,
          [name, description, JSON.stringify(spec)],
        );
        return shown(200, await read(tx, name));
      });
    },
  );
}

function addRemove(router: Router): void {
  router.route(
    {
      method: "delete",
      path: ITEM,
      permission: "template:write",
      summary: "deletes a template; containers made from it stay",
      params,
      answers: { 204: "nothing" },
      mutates: { action: "TemplateDeleted", resource: "template" },
    },
    async (call) => {
      const { template: name } = call.params;
      return call.change({ id: name, summary: `Deleted the template ${name}` }, async (tx) => {
        call.ifMatch(etagOf((await read(tx, name, "FOR UPDATE")).version));
        await tx.query("DELETE FROM hypervisor_templates WHERE name = $1", [name]);
        return { status: 204 };
      });
    },
  );
}

function addUse(router: Router, deps: ContainerDeps): void {
  router.route(
    {
      method: "post",
      path: `${ITEM}/containers`,
      permission: "container:create",
      summary:
        "makes a container from a template; what is given here goes before what stands there",
      params,
      query: projectQuery,
      body: z.strictObject({
        name: nameSchema,
        ...resourceFields,
        labels: specFields.labels,
        environment: specFields.environment,
        start: startField,
      }),
      answers: { 202: progressSchema },
      mutates: { action: "ContainerCreated", resource: "container" },
    },
    async (call) => {
      const project = call.project(call.query.project);
      await call.require("template:read", call.params.template);
      const { spec } = await read(deps.operations.database, call.params.template);
      const { labels, environment, ...body } = call.body;
      const both = {
        labels: { ...spec.labels, ...labels },
        environment: { ...spec.environment, ...environment },
      };
      return createContainer(deps, call, { ...spec, ...body, ...both, project });
    },
  );
}
