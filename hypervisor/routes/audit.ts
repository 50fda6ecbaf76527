import { z } from "zod";
import { AUDIT_ACTIONS } from "../audit-actions.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import type { AuditLog } from "../types.ts";

const LIMIT_MAX = 1_000;
const LIMIT_DEFAULT = 100;
const FILTER_LENGTH_MAX = 256;

const querySchema = z.strictObject({
  user: z.string().min(1).max(FILTER_LENGTH_MAX).optional(),
  resource_type: z.string().min(1).max(FILTER_LENGTH_MAX).optional(),
  limit: countOf(1, LIMIT_MAX).default(LIMIT_DEFAULT),
  before: z
    .string()
    .regex(/^\d{1,18}$/, { error: "must be the id of a row" })
    .optional(),
});

const entrySchema = z
  .object({
    id: z.string(),
    timestamp: z.string(),
    user: z.string(),
    action: z.string().meta({
      description: `of this API: ${Object.values(AUDIT_ACTIONS).flat().join(", ")}; others are steps of runs`,
    }),
    resource_type: z.string(),
    resource_id: z.string(),
    result: z.enum(["Success", "Failure", "Refused", "Started"]),
    ip_address: z.string().nullable(),
    correlation_id: z.string().nullable(),
    details: z.string(),
  })
  .meta({ id: "AuditEntry" });

const pageSchema = z
  .object({
    total: z.int(),
    total_is_capped: z.boolean(),
    logs: z.array(entrySchema),
    next: z.string().nullable(),
  })
  .meta({ id: "AuditPage" });

/** `GET /api/v1/audit/logs?user=&resource_type=&limit=&before=`, newest first. */
export function addAuditRoutes(router: Router, auditLog: AuditLog): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/audit/logs",
      permission: "audit:read",
      summary: "the audit log, newest first; `next` of an answer is `before` of the next request",
      query: querySchema,
      answers: { 200: pageSchema },
    },
    async ({ query, principal }) => {
      const page = await auditLog.find({ ...query, organization: principal.organization });
      return { status: 200, body: { ...page, logs: [...page.logs] } };
    },
  );
}
