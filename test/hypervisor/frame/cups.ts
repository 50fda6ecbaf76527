import { z } from "zod";
import { etagOf } from "../../../hypervisor/frame/etag.ts";
import type { Router } from "../../../hypervisor/frame/router.ts";
import type { Database } from "../../../lib/postgres.ts";
import { HttpProblem } from "../../../lib/problem.ts";
import { givenFrame, type Frame } from "./given.ts";

const cupSchema = z.object({ name: z.string(), size: z.int() });
const nameParams = z.strictObject({ name: z.string().regex(/^[a-z-]+$/) });

/** What the "backend" of {@link givenCups} was asked, and how it ends. */
export const backend = { calls: 0, end: async (): Promise<void> => Promise.resolve() };

/** Stands for any noun: cups, in a table and in a "backend". */
function addCups(router: Router, database: Database): void {
  router.route(
    {
      method: "post",
      path: "/cups",
      permission: "container:create",
      summary: "makes a cup",
      body: z.strictObject({ name: z.string().max(64), size: z.int().min(1) }),
      answers: { 201: cupSchema },
      mutates: { action: "ContainerCreated", resource: "container" },
    },
    async (call) =>
      call.change({ id: call.body.name, summary: "Created a cup" }, async (tx) => {
        const { name, size } = call.body;
        const { rowCount } = await tx.query(
          "INSERT INTO cups VALUES ($1, $2) ON CONFLICT DO NOTHING",
          [name, size],
        );
        if (rowCount === 0) throw new HttpProblem(409, "Conflict", `There is a cup ${name}.`);
        if (size === 13) throw new Error("the shelf fell down");
        const secret = { password: "never leaves" };
        return { status: 201, body: { name, size, ...secret }, headers: { etag: etagOf(1) } };
      }),
  );
  router.route(
    {
      method: "post",
      path: "/cups/:name/fill",
      permission: ["container:start", "container:stop"],
      summary: "fills a cup, elsewhere",
      params: nameParams,
      answers: { 202: z.object({ done: z.boolean() }) },
      mutates: { action: "ContainerStarted", resource: "container" },
    },
    async (call) => {
      await call.require("container:start", call.params.name);
      return call.perform({ id: call.params.name, summary: "Filled" }, async () => {
        backend.calls += 1;
        await backend.end();
        return { status: 202, body: { done: true } };
      });
    },
  );
  router.route(
    {
      method: "delete",
      path: "/cups/:name",
      permission: "container:delete",
      summary: "forgets its audit row",
      params: nameParams,
      answers: { 204: "nothing" },
      mutates: { action: "ContainerDeleted", resource: "container" },
    },
    async () => Promise.resolve({ status: 204 }),
  );
  router.route(
    {
      method: "get",
      path: "/cups/:name",
      permission: "container:read",
      summary: "one cup",
      params: nameParams,
      query: z.strictObject({ project: z.string().default("default") }),
      answers: { 200: cupSchema },
    },
    async (call) => {
      call.project(call.query.project);
      call.ifMatch(etagOf(7));
      const { rows } = await database.query<{ name: string; size: number }>(
        "SELECT name, size FROM cups WHERE name = $1",
        [call.params.name],
      );
      const [cup] = rows;
      if (cup === undefined) throw new HttpProblem(404, "Not found");
      return { status: 200, body: cup };
    },
  );
}

/** The frame with {@link addCups}, and people of several kinds. */
export async function givenCups(): Promise<Frame> {
  const frame = await givenFrame({
    people: {
      ana: { role: "Admin", permissions: ["*"] },
      otto: { role: "Operator", permissions: ["container:stop"] },
      org: { role: "OrgUser", permissions: ["*"], organization: "o1", projects: new Set(["p1"]) },
      new: { role: "Admin", permissions: ["*"], withheld: "change the password first" },
    },
    add: addCups,
    origins: ["https://console.example.com"],
  });
  await frame.database.query("CREATE TABLE cups (name text PRIMARY KEY, size int NOT NULL)");
  return frame;
}

export interface Sent {
  readonly method?: string;
  readonly as?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function send(
  frame: Frame,
  path: string,
  { method = "GET", as = "ana", body, headers }: Sent = {},
) {
  const response = await fetch(`${frame.url}${path}`, {
    method,
    headers: {
      ...(as === "" ? {} : { authorization: `Bearer ${as}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = (text === "" ? undefined : JSON.parse(text)) as Record<string, unknown> | undefined;
  return { status: response.status, headers: response.headers, body: json };
}
