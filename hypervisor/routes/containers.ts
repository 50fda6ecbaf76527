import { z } from "zod";
import type { Backend, Container } from "../backends/types.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import type { Call } from "../frame/call.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { addContainerChangeRoutes } from "./container-changes.ts";
import { nameSchema, projectQuery } from "./names.ts";
import { containerAnswer, containerSchema, shownContainer } from "./shown-container.ts";

const LIST_MAX = 500;
const LINES_MAX = 1_000;
const LINES_DEFAULT = 100;

const STATUSES = [
  ...["running", "stopped", "paused", "starting", "stopping", "error", "unknown"],
] as const;

const lineSchema = z.object({
  at: z.string().nullable(),
  stream: z.enum(["stdout", "stderr", "console"]),
  text: z.string(),
});

/** `/api/v1/containers`: what runs, and its log. */
export function addContainerRoutes(router: Router, deps: ContainerDeps): void {
  const { backend } = deps;
  router.route(
    {
      method: "get",
      path: "/api/v1/containers",
      permission: "container:read",
      summary: "the containers that the caller may see, by project and name",
      query: z.strictObject({
        project: nameSchema.optional(),
        status: z.enum(STATUSES).optional(),
        limit: countOf(1, LIST_MAX).default(LIST_MAX),
        /** The `next` of the page before. */
        after: z.string().max(200).optional(),
      }),
      answers: {
        200: z.object({
          total: z.number(),
          containers: z.array(containerSchema),
          next: z.string().nullable(),
        }),
      },
    },
    async (call) => {
      const { status, limit, after } = call.query;
      const found = (await visible(backend, call))
        .filter((each) => status === undefined || each.status === status)
        .sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
      const rest = found.filter((each) => after === undefined || placeOf(each) > after);
      const page = rest.slice(0, limit);
      const last = page.at(-1);
      const next = rest.length > page.length && last !== undefined ? placeOf(last) : null;
      const body = { total: found.length, containers: page.map(shownContainer), next };
      return { status: 200, body };
    },
  );
  router.route(
    {
      method: "get",
      path: "/api/v1/containers/:name",
      permission: "container:read",
      summary: "one container",
      params: z.strictObject({ name: nameSchema }),
      query: projectQuery,
      answers: { 200: containerSchema },
    },
    async (call) => {
      const project = call.project(call.query.project);
      const { name } = call.params;
      return containerAnswer(200, await backend.containers.get({ project, name }, call));
    },
  );
  addLogRoute(router, backend);
  addContainerChangeRoutes(router, deps);
}

/** Sorts pages: a dot is no character of a project's end that a slash could be taken for. */
function placeOf({ project, name }: Pick<Container, "project" | "name">): string {
  return `${project}/${name}`;
}

async function visible(
  { containers }: Backend,
  call: Pick<
    Call<unknown, { readonly project?: string | undefined }>,
    "query" | "principal" | "project" | "signal"
  >,
): Promise<readonly Container[]> {
  const { query, principal } = call;
  if (query.project !== undefined) {
    return containers.list({ project: call.project(query.project) }, call);
  }
  const all = await containers.list({}, call);
  const { projects } = principal;
  return projects === "all" ? all : all.filter(({ project }) => projects.has(project));
}

function addLogRoute(router: Router, { logs }: Backend): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/containers/:name/logs",
      // A log may tell more than a container's state: who only looks at those does not see it.
      permission: ["logs:read", "container:start"],
      summary: "the newest lines of a container's log, oldest first",
      params: z.strictObject({ name: nameSchema }),
      query: projectQuery.extend({ tail: countOf(1, LINES_MAX).default(LINES_DEFAULT) }),
      answers: { 200: z.object({ container: z.string(), lines: z.array(lineSchema) }) },
    },
    async (call) => {
      const { tail } = call.query;
      const project = call.project(call.query.project);
      const { name } = call.params;
      const lines: z.input<typeof lineSchema>[] = [];
      for await (const line of await logs.read({ project, name, tail }, call)) {
        lines.push({ ...line, at: line.at ?? null });
      }
      return { status: 200, body: { container: name, lines } };
    },
  );
}
