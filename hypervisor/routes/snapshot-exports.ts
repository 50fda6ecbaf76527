import { z } from "zod";
import type { Database } from "../../lib/postgres.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import { workflowIdSchema } from "../operations/shown-progress.ts";
import { listExports } from "../snapshots-export/table.ts";
import { nameSchema } from "./names.ts";

const LIST = { max: 200, usual: 50 };

const exportSchema = z
  .object({
    id: z.string(),
    project: z.string(),
    container: z.string(),
    snapshot: z.string(),
    exported_by: z.string(),
    exported_at: z.string(),
    place: z.string(),
    location: z.string(),
    sha256: z.string(),
    bytes: z.number(),
    tar_bytes: z.number(),
    parts: z.int(),
  })
  .meta({ id: "SnapshotExport" });

/** `/api/v1/snapshots/exports`: the exports that were finished and not deleted by retention. */
export function addSnapshotExportRoutes(
  router: Router,
  { database }: { readonly database: Database },
): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/snapshots/exports",
      permission: "container:export",
      summary: "snapshots that were put, sealed, into the place for exports; the newest first",
      query: z.strictObject({
        project: nameSchema.optional(),
        container: nameSchema.optional(),
        limit: countOf(1, LIST.max).default(LIST.usual),
        /** The `next` of the page before. */
        before: workflowIdSchema.optional(),
      }),
      answers: {
        200: z.object({ exports: z.array(exportSchema).readonly(), next: z.string().nullable() }),
      },
    },
    async (call) => {
      const { project, limit } = call.query;
      if (project !== undefined) call.project(project);
      const found = await listExports(database, { ...call.query, limit: limit + 1 });
      const exports = found.slice(0, limit);
      const next = found.length > limit ? (exports.at(-1)?.id ?? null) : null;
      return { status: 200, body: { exports, next } };
    },
  );
}
