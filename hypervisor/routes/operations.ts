import { z } from "zod";
import type { Database } from "../../lib/postgres.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import { listProgress } from "../operations/progress-table.ts";
import {
  operationCursorSchema,
  progressSchema,
  statusSchema,
} from "../operations/shown-progress.ts";
import { nameSchema } from "./names.ts";

const LIST = { max: 200, usual: 50 };

/** `/api/v1/operations`: what is under way, and what became of what was. */
export function addOperationRoutes(
  router: Router,
  { database }: { readonly database: Database },
): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/operations",
      permission: "progress:read",
      summary: "operations and workflows that the caller may see, the newest first",
      query: z.strictObject({
        status: statusSchema.optional(),
        kind: z.string().max(64).optional(),
        project: nameSchema.optional(),
        resource_id: z.string().max(130).optional(),
        limit: countOf(1, LIST.max).default(LIST.usual),
        /** The `next` of the page before. */
        before: operationCursorSchema.optional(),
      }),
      answers: {
        200: z.object({
          operations: z.array(progressSchema).readonly(),
          next: z.string().nullable(),
        }),
      },
    },
    async ({ query, principal }) => {
      const { limit } = query;
      const found = await listProgress(database, { ...query, limit: limit + 1 }, principal);
      const operations = found.slice(0, limit);
      const next = found.length > limit ? (operations.at(-1)?.key ?? null) : null;
      return { status: 200, body: { operations, next } };
    },
  );
}
