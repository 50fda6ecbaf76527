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

/** Kept as text: Alertmanager sends nanoseconds, which a Date would cut. Four digits of a year, as PostgreSQL reads it. */
const timestampSchema = z
  .string()
  .regex(/^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/, {
    error: "must be an RFC 3339 time",
  })
  .refine((value) => !Number.isNaN(Date.parse(value)), { error: "must be an RFC 3339 time" });

export const alertSchema = z.object({
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
    .max(128)
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
  /** Read one by one with {@link alertSchema}. */
  alerts: z.array(z.unknown()).max(50_000),
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
export type AlertFrame = Omit<z.infer<typeof alertFrameSchema>, "alerts"> & {
  readonly alerts: readonly Alert[];
};
