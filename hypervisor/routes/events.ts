import { z } from "zod";
import type { Queryable } from "../../lib/postgres.ts";
import { findEvents, type EventViewer } from "../events/table.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import { covers } from "../permissions.ts";
import type { Principal } from "../types.ts";

export interface EventDeps {
  readonly database: Queryable;
  readonly eventTtlSeconds: number;
}

const PAGE = { max: 200, usual: 50 };
const RECENT = { max: 50, usual: 10 };
const PAGES_MAX = 10_000;

const eventSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    namespace: z.string(),
    type: z.string(),
    reason: z.string(),
    message: z.string(),
    component: z.string(),
    involved_object_kind: z.string(),
    involved_object_name: z.string(),
    first_timestamp: z.string(),
    last_timestamp: z.string(),
    count: z.number(),
  })
  .meta({ id: "Event" });
const listSchema = z.object({
  events: z.array(eventSchema).readonly(),
  total_count: z.number(),
  page: z.number(),
  page_size: z.number(),
});
const textSchema = z.string().min(1).max(128);

/** `/api/v1/events`: what happened of late. */
export function addEventRoutes(router: Router, { database, eventTtlSeconds }: EventDeps): void {
  const list = async (
    query: Parameters<typeof findEvents>[1],
    principal: Principal,
  ): Promise<{ readonly status: 200; readonly body: z.input<typeof listSchema> }> => {
    const { events, total } = await findEvents(
      database,
      query,
      viewerOf(principal),
      eventTtlSeconds,
    );
    const { page, limit } = query;
    return { status: 200, body: { events, total_count: total, page, page_size: limit } };
  };
  router.route(
    {
      method: "get",
      path: "/api/v1/events",
      permission: "events:read",
      summary: "events that the caller may see, the newest first",
      query: z.strictObject({
        limit: countOf(1, PAGE.max).default(PAGE.usual),
        page: countOf(1, PAGES_MAX).default(1),
        type: z.enum(["Normal", "Warning", "Error"]).optional(),
        component: textSchema.optional(),
        namespace: textSchema.optional(),
      }),
      answers: { 200: listSchema },
    },
    async ({ query, principal }) => list(query, principal),
  );
  router.route(
    {
      method: "get",
      path: "/api/v1/events/recent",
      permission: "events:read",
      summary: "the newest events, for dashboards",
      query: z.strictObject({ limit: countOf(1, RECENT.max).default(RECENT.usual) }),
      answers: { 200: listSchema },
    },
    async ({ query, principal }) => list({ ...query, page: 1 }, principal),
  );
}

/** The platform's people see all; who may read an organization's record sees its events, its other people what they did. */
function viewerOf({ organization, permissions, name }: Principal): EventViewer {
  const all = organization === undefined || covers(permissions, "audit:read");
  return { organization, username: all ? undefined : name };
}
