import { z } from "zod";

/**
 * The shapes that cross between the services and come from outside. Sources: Alertmanager `notify/webhook`,
 * `template/template.go` (version "4"); Grafana `alerting receivers/webhook/v1` (version "1"). Unknown fields are ignored,
 * `null` maps count as empty.
 */
const labelsSchema = z
  .record(z.string(), z.string())
  .nullish()
  .transform((labels) => labels ?? {});

/** Kept as text: Alertmanager sends nanoseconds, which a Date would cut. */
const timestampSchema = z
  .string()
  .refine((value) => !Number.isNaN(Date.parse(value)), { error: "must be an RFC 3339 time" });

const alertSchema = z.object({
  status: z.enum(["firing", "resolved"]),
  labels: labelsSchema,
  annotations: labelsSchema,
  startsAt: timestampSchema,
  endsAt: timestampSchema.nullish().transform((value) => value ?? "0001-01-01T00:00:00Z"),
  generatorURL: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  fingerprint: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
});

export const alertFrameSchema = z.object({
  version: z.enum(["1", "4"], {
    error: 'must be "4" (Alertmanager) or "1" (Grafana); a custom payload template cannot be read',
  }),
  receiver: z.string(),
  status: z.enum(["firing", "resolved"]),
  groupKey: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  alerts: z.array(alertSchema).max(50_000),
  truncatedAlerts: z
    .number()
    .nullish()
    .transform((value) => value ?? 0),
  externalURL: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
});

export type Alert = z.infer<typeof alertSchema>;
export type AlertFrame = z.infer<typeof alertFrameSchema>;
