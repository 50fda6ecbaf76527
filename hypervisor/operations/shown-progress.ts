import { z } from "zod";
import { STATUSES } from "./types.ts";

/** `op_…` of ours, or what a worker calls its workflow. */
export const workflowIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9][\w.:-]{0,127}$/, {
    error: "must be 1 to 128 letters, digits, dots, dashes, colons or underscores",
  })
  .meta({ id: "WorkflowId" });

/** Where a page ended: also a tenant's workflow, `organization/id`. */
export const operationCursorSchema = z
  .string()
  .regex(/^([a-z0-9-]{1,63}\/)?[A-Za-z0-9][\w.:-]{0,127}$/, { error: "must be a `next`" });

/** What a worker calls its kind of work, such as `retrain`. */
export const workKindSchema = z.string().regex(/^[A-Za-z0-9][\w.:-]{0,63}$/, {
  error: "must be 1 to 64 letters, digits, dots, dashes, colons or underscores",
});

export const statusSchema = z.enum(STATUSES);

/** As GET /progress/{workflow_id} and every 202 show it. */
export const progressSchema = z
  .object({
    workflow_id: z.string(),
    kind: z.string(),
    work_kind: z.string().nullable(),
    status: statusSchema,
    percent_complete: z.number(),
    message: z.string(),
    step: z.string().nullable(),
    resource_type: z.string(),
    resource_id: z.string(),
    project: z.string().nullable(),
    started_by: z.string(),
    summary: z.string(),
    correlation_id: z.string().nullable(),
    created_at: z.string(),
    started_at: z.string().nullable(),
    updated_at: z.string(),
    ended_at: z.string().nullable(),
    result: z.record(z.string(), z.unknown()).nullable(),
    error: z.string().nullable(),
  })
  .meta({ id: "Progress" });

export const lineSchema = z
  .object({
    workflow_id: z.string(),
    line: z.number(),
    at: z.string(),
    status: statusSchema,
    percent_complete: z.number(),
    message: z.string(),
    step: z.string().nullable(),
  })
  .meta({ id: "ProgressLine" });

export const estimateSchema = z
  .object({
    workflow_id: z.string(),
    status: z.string(),
    estimated_seconds_total: z.number().nullable(),
    estimated_seconds_remaining: z.number().nullable(),
    estimated_completion: z.string().nullable(),
    based_on: z.number(),
    reason: z.string(),
  })
  .meta({ id: "ProgressEstimate" });
