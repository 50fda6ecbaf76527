import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Router } from "../permissions.ts";
import type { AuditLog } from "../types.ts";

const LIMIT_MAX = 1_000;
const LIMIT_DEFAULT = 100;
const FILTER_LENGTH_MAX = 256;

const querySchema = z.strictObject({
  user: z.string().min(1).max(FILTER_LENGTH_MAX).optional(),
  resource_type: z.string().min(1).max(FILTER_LENGTH_MAX).optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, { error: `must be a number from 1 to ${LIMIT_MAX}` })
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= LIMIT_MAX, {
      error: `must be a number from 1 to ${LIMIT_MAX}`,
    })
    .default(LIMIT_DEFAULT),
});

/** `GET /api/v1/audit/logs?user=&resource_type=&limit=`. */
export function addAuditRoutes(router: Router, auditLog: AuditLog): void {
  router.route("get", "/api/v1/audit/logs", async (request, response) => {
    const query = querySchema.safeParse(request.query);
    if (!query.success) throw new HttpProblem(400, "Bad request", explain(query.error));
    response.json(await auditLog.find(query.data));
  });
}

/** A misspelt filter must not silently return everything: unknown names are refused and named. */
function explain(error: z.ZodError): string {
  return error.issues
    .map((issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown parameter ${issue.keys.join(", ")}`
        : `${issue.path.join(".")}: ${issue.message}`,
    )
    .join("; ");
}
