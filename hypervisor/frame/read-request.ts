import express, { type Request, type RequestHandler, type Response } from "express";
import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { AnyRoute } from "./route.ts";

/** The largest body is a list of permissions or a container's configuration. */
const BODY_BYTES_MAX = 64 * 1024;
const FORM_FIELDS_MAX = 10;
const DEPTH_MAX = 32;
const ISSUES_SHOWN = 8;
const PLACE_LENGTH_MAX = 80;

const readJson = express.json({ limit: BODY_BYTES_MAX, inflate: false });
const readForm = express.urlencoded({
  limit: BODY_BYTES_MAX,
  inflate: false,
  extended: false,
  parameterLimit: FORM_FIELDS_MAX,
});

const nothing = z.strictObject({});
const dryRunSchema = z.enum(["true", "false"], { error: "must be true or false" }).optional();

export interface ReadRequest {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly dryRun: boolean;
}

/**
 * Everything that a request says, checked against the route's schemas.
 *
 * @throws HttpProblem 400 that names each field, 413, 415
 */
export async function readRequest(
  route: AnyRoute,
  request: Request,
  response: Response,
): Promise<ReadRequest> {
  const params = read(route.params ?? nothing, { ...request.params });
  const { dryRun, ...rest } = request.query;
  const takesDryRun = typeof route.mutates === "object";
  const query = read(route.query ?? nothing, takesDryRun ? rest : { ...request.query });
  const wanted = takesDryRun ? read(z.object({ dryRun: dryRunSchema }), { dryRun }) : {};
  const body = route.body === undefined ? undefined : await readBody(route, request, response);
  return { params, query, body, dryRun: wanted.dryRun === "true" };
}

async function readBody(route: AnyRoute, request: Request, response: Response): Promise<unknown> {
  const { form, body: schema = nothing } = route;
  if (form !== "only") await run(readJson, request, response);
  if (form !== undefined && request.body === undefined) await run(readForm, request, response);
  const body = request.body as unknown;
  if (body === undefined && hasBody(request)) {
    const wanted = form === "only" ? "application/x-www-form-urlencoded" : "application/json";
    throw new HttpProblem(415, "Unsupported media type", `The body must be ${wanted}, not packed.`);
  }
  return read(schema, body === undefined ? undefined : plain(body));
}

function hasBody(request: Request): boolean {
  const length = request.get("content-length");
  return request.get("transfer-encoding") !== undefined || (length !== undefined && length !== "0");
}

/** A form's fields have no prototype, which schemas take for a strange object. */
function plain(body: unknown): unknown {
  return typeof body === "object" && body !== null && Object.getPrototypeOf(body) === null
    ? { ...body }
    : body;
}

async function run(reader: RequestHandler, request: Request, response: Response): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    void reader(request, response, (error?: unknown) => {
      if (error === undefined) resolve();
      else reject(problemOfBody(error));
    });
  });
}

function problemOfBody(error: unknown): Error {
  const { type, status } = error as { readonly type?: string; readonly status?: number };
  if (status === 413)
    return new HttpProblem(413, "Too large", `The body may have ${BODY_BYTES_MAX} bytes.`);
  if (status === 415)
    return new HttpProblem(415, "Unsupported media type", "The body must be UTF-8, not packed.");
  if (type === "entity.parse.failed")
    return new HttpProblem(400, "Bad request", "body: is no JSON");
  if (type === "request.aborted") return new HttpProblem(400, "Bad request", "body: was cut off");
  return error instanceof Error ? error : new Error("unreadable body", { cause: error });
}

/** @throws HttpProblem 400 */
export function read<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const bad = harmfulText(value, "");
  if (bad !== undefined) throw new HttpProblem(400, "Bad request", bad);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new HttpProblem(400, "Bad request", tell(parsed.error));
}

/** A misspelt name must not silently do something else: unknown names are refused and named. */
function tell({ issues }: z.ZodError): string {
  const told = issues.slice(0, ISSUES_SHOWN).map((issue) => {
    const place = issue.path.join(".");
    if (issue.code !== "unrecognized_keys") return `${place || "body"}: ${issue.message}`;
    const names = issue.keys.slice(0, ISSUES_SHOWN).map((key) => JSON.stringify(key.slice(0, 64)));
    return `${place === "" ? "" : `${place}: `}unknown parameter ${names.join(", ").replaceAll('"', "")}`;
  });
  const more = issues.length - told.length;
  return `${told.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

/**
 * What no schema thinks of: NUL and half characters, which Postgres refuses, other control characters, which a terminal
 * obeys, and nesting that is there to hurt. Line breaks and tabs are left to the schemas.
 */
function harmfulText(value: unknown, path: string, depth = 0): string | undefined {
  if (depth > DEPTH_MAX) return `${path}: is nested deeper than ${DEPTH_MAX} levels`;
  if (typeof value === "string") return harmfulCharacter(value, path);
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, member] of Object.entries(value)) {
    const place = (path === "" ? key : `${path}.${key}`).slice(0, PLACE_LENGTH_MAX);
    const found = harmfulCharacter(key, "a name") ?? harmfulText(member, place, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function harmfulCharacter(text: string, path: string): string | undefined {
  // eslint-disable-next-line no-control-regex -- that is what is looked for
  const harmful = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]/.test(text) || !text.isWellFormed();
  return harmful ? `${path === "" ? "body" : path}: must not have control characters` : undefined;
}
