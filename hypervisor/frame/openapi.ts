import { z } from "zod";
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponsesObject,
} from "zod-openapi";
import { version } from "../../lib/version.ts";
import { OPERATIONAL } from "./operational.ts";
import { nameOf } from "./router.ts";
import type { AnyRoute, AnswerTable, Requirement } from "./route.ts";
import type { AnySocket } from "./sockets.ts";

const problem = z
  .object({
    type: z.string(),
    status: z.int(),
    title: z.string(),
    detail: z.string().optional(),
    correlation_id: z.string().optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457" });

const dryRunResult = z
  .object({
    dry_run: z.literal(true),
    action: z.string(),
    resource_type: z.string(),
    resource_id: z.string(),
    summary: z.string(),
    facts: z.record(z.string(), z.unknown()).optional(),
    would: z.object({ status: z.int(), body: z.unknown().optional() }).optional(),
  })
  .meta({ id: "DryRun" });

const PROBLEMS: Readonly<Record<number, string>> = {
  400: "the request is wrong; each field is named",
  401: "no valid token",
  403: "not permitted, and why",
  404: "not there, or somebody else's",
  409: "in conflict with what is there",
  412: "another version than If-Match says",
  413: "the body is too large",
  415: "the body's type",
  422: "the Idempotency-Key belongs to another request",
  429: "too many requests",
  501: "this backend cannot do that",
  502: "a server behind it does not answer as it should",
  503: "a dependency does not answer, or is not configured",
  504: "a server behind it takes too long",
};

type Method = "get" | "post" | "put" | "patch" | "delete";

/** The OpenAPI document of all registered routes, from the schemas by which requests are checked and answers are cut. */
export function describeApi(routes: readonly AnyRoute[], sockets: readonly AnySocket[]): object {
  const paths: Record<string, Partial<Record<Method, ZodOpenApiOperationObject>>> = {};
  for (const route of [...OPERATIONAL, ...routes]) {
    const path = pathOf(route.path);
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  for (const { definition } of sockets) {
    const path = pathOf(definition.path);
    paths[path] = { ...paths[path], get: withSocket(paths[path]?.get, definition) };
  }
  return createDocument({
    openapi: "3.1.0",
    info: { title: "Fettle hypervisor", version },
    paths,
    components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
  });
}

/** OpenAPI has no WebSockets: one is a GET that answers 101, or stands with the GET of its address (`x-websocket`). */
function withSocket(
  plain: ZodOpenApiOperationObject | undefined,
  { path, permission, cookies = false, summary, params, query }: AnySocket["definition"],
): ZodOpenApiOperationObject {
  const route = { method: "get", path, permission, summary, params, query } as const;
  const operation = plain ?? operationOf({ ...route, answers: { 101: "nothing" } });
  const about = { "x-permission": permission, summary, cookies };
  return { ...operation, "x-websocket": about };
}

function pathOf(path: string): string {
  return path.replaceAll(/[:*](\w+)/g, "{$1}");
}

function operationOf(route: AnyRoute): ZodOpenApiOperationObject {
  const { permission, summary, params, query, body, form, mutates, answers, method } = route;
  const json = "application/json";
  const types = form === "only" ? [FORM] : form === "too" ? [json, FORM] : [json];
  const changes = typeof mutates === "object";
  const shownQuery = changes ? withDryRun(query) : query;
  return {
    operationId: nameOf(route)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "_"),
    tags: [route.path.split("/").find((part) => !/^(|api|v1)$/.test(part)) ?? "api"],
    summary,
    description: needs(permission),
    "x-permission": permission,
    ...(permission === "public" ? {} : { security: [{ bearer: [] }] }),
    requestParams: {
      ...(params === undefined ? {} : { path: params as z.ZodObject }),
      ...(shownQuery === undefined ? {} : { query: shownQuery as z.ZodObject }),
      ...(changes && method === "post" ? { header: keyHeader } : {}),
    },
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            content: Object.fromEntries(types.map((type) => [type, { schema: body }])),
          },
        }),
    responses: responsesOf(answers, changes),
  };
}

const FORM = "application/x-www-form-urlencoded";
const keyHeader = z.object({
  "Idempotency-Key": z.string().min(1).max(128).optional().meta({
    description: "the same key and request get the same answer for 24 hours",
  }),
});
const dryRun = z.enum(["true", "false"]).optional();

function withDryRun(query: z.ZodType | undefined): z.ZodType {
  return query instanceof z.ZodObject ? query.extend({ dryRun }) : z.strictObject({ dryRun });
}

function needs(permission: Requirement): string {
  if (permission === "public") return "Open to everybody.";
  if (permission === "signed-in") return "For whoever is signed in.";
  return `Needs ${typeof permission === "string" ? permission : permission.join(" or ")}.`;
}

const PROBLEM = { "application/problem+json": { schema: problem } } as const;

/** A refusal may be told on a page of the route's own; what the frame refuses is a problem as everywhere. */
function mediaAnswer(status: string, media: string) {
  const refusal = PROBLEMS[Number(status)];
  const content = { [media]: { schema: z.string() } };
  if (refusal === undefined) return { description: "done", content };
  return { description: refusal, content: { ...content, ...PROBLEM } };
}

const JSON_TYPE = "application/json";

/** A dry run's answer has a shape of its own, beside what the route answers with 200. */
function withDryRunAnswer(spec: AnswerTable[number] | undefined, told: unknown) {
  if (spec === undefined)
    return { description: "a dry run", content: { [JSON_TYPE]: { schema: dryRunResult } } };
  const isJson = spec !== "nothing" && !("media" in spec);
  const schema = isJson ? z.union([spec, dryRunResult]) : dryRunResult;
  const { content } = told as { readonly content?: Readonly<Record<string, unknown>> };
  return {
    description: "done, or a dry run",
    content: { ...content, [JSON_TYPE]: { schema } },
  };
}

function responsesOf(answers: AnswerTable, changes: boolean): ZodOpenApiResponsesObject {
  const told = Object.entries(answers).map(([status, spec]) => [
    status,
    spec === "nothing"
      ? { description: "done" }
      : "media" in spec
        ? mediaAnswer(status, spec.media)
        : { description: "done", content: { [JSON_TYPE]: { schema: spec } } },
  ]);
  const problems = Object.entries(PROBLEMS).map(([status, description]) => [
    status,
    { description, content: PROBLEM },
  ]);
  const all = Object.fromEntries([...problems, ...told]) as Record<string, unknown>;
  if (changes) all["200"] = withDryRunAnswer(answers[200], all["200"]);
  return all as ZodOpenApiResponsesObject;
}
