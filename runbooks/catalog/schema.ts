import { z } from "zod";

const RUNBOOKS_MAX = 1_000;
const VALUES_MAX = 50;
const TEXT_MAX = 500;

const text = z.string().min(1).max(TEXT_MAX);

/** Exact values only: a pattern could take longer than the incident. */
const valueSchema = z
  .union([text, z.array(text).min(1).max(VALUES_MAX)], {
    error: `must be a text, or a list of 1 to ${VALUES_MAX} texts`,
  })
  .describe("The value, or a list of which one is enough");

const matchSchema = z
  .strictObject({
    labels: z
      .record(text, valueSchema)
      .refine((labels) => Object.keys(labels).length > 0, { error: "must name at least one label" })
      .optional()
      .describe("Labels that the alert must have"),
    metric: valueSchema.optional().describe("The alert's label metric"),
    reason: valueSchema.optional().describe("The alert's label reason, such as level_shift"),
  })
  .refine((match) => Object.keys(match).length > 0, {
    error: "must name at least one of labels, metric, reason",
  })
  .describe("All of what is named here must hold");

const runbookSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: "must be lower-case letters, digits and dashes" })
    .describe("Unique; part of what makes a run the same run"),
  title: text.describe("One line for people"),
  match: matchSchema,
  trigger: z
    .string()
    .regex(/^[\w.-]{1,100}$/, { error: 'must be letters, digits, "_", "." and "-"' })
    .optional()
    .describe("What the policy calls the situation; the alert's metric when left out"),
});

/** A runbook file. */
export const catalogSchema = z.strictObject({
  runbooks: z
    .array(runbookSchema)
    .min(1)
    .max(RUNBOOKS_MAX)
    .describe("The first that matches an alert counts"),
});

export type RunbookText = z.infer<typeof runbookSchema>;

/** The same as JSON schema, for editors and other people's checks: ops/runbooks/runbooks.schema.json. */
export function catalogJsonSchema(): object {
  return {
    $id: "https://fettle.dev/runbooks.schema.json",
    title: "Fettle's runbook catalogue",
    ...z.toJSONSchema(catalogSchema, { target: "draft-2020-12" }),
  };
}
