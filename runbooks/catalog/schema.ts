import { z } from "zod";
import { parseDuration } from "../../lib/duration.ts";

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

const LINES_MAX = 10_000;
const LOG_BYTES_MAX = 1024 * 1024;
const QUERIES_MAX = 20;
const STEPS_MAX = 12;

const lines = z.number().int().min(1).max(LINES_MAX).optional();

const stepSchema = z.discriminatedUnion("step", [
  z.strictObject({ step: z.literal("objects") }),
  z.strictObject({ step: z.literal("events") }),
  z.strictObject({ step: z.literal("rollout_history") }),
  z.strictObject({
    step: z.literal("logs"),
    lines: lines.describe("The last ones of each container; 500 when left out"),
    previous: z.boolean().optional().describe("Also of restarted containers; true when left out"),
    max_bytes: z
      .number()
      .int()
      .min(1024)
      .max(LOG_BYTES_MAX)
      .optional()
      .describe("Of one container"),
  }),
  z.strictObject({
    step: z.literal("prometheus"),
    minutes: z.number().int().min(1).max(1440).optional().describe("Before and after the alert"),
    queries: z
      .record(z.string().regex(/^[\w-]{1,40}$/), z.string().min(1).max(2000))
      .refine((queries) => Object.keys(queries).length <= QUERIES_MAX, {
        error: `must be at most ${QUERIES_MAX} queries`,
      })
      .optional()
      .describe("PromQL by name, with $namespace, $name and $app of the target"),
  }),
  z.strictObject({
    step: z.literal("container_logs"),
    container: z
      .string()
      .regex(/^[a-zA-Z0-9][\w.-]{0,62}$/)
      .optional(),
    lines,
  }),
]);

const STEP_NAMES = [
  "objects",
  "events",
  "logs",
  "rollout_history",
  "prometheus",
  "container_logs",
] as const;

const collectSchema = z
  .array(z.union([z.enum(STEP_NAMES), stepSchema], { error: stepProblem }))
  .min(1)
  .max(STEPS_MAX)
  .describe(
    "What is gathered for people before they are asked: names of steps, or steps with options",
  );

function stepProblem(): string {
  return `must be one of ${STEP_NAMES.join(", ")}, or {step: …} with the options of that step`;
}

const QUERY_MAX = 2_000;
/** As for RUNBOOK_VERIFY_HOLD_SECONDS. */
const HOLD_SECONDS_MAX = 3_600;

const verifySchema = z
  .strictObject({
    query: z
      .string()
      .min(1)
      .max(QUERY_MAX)
      .optional()
      .describe(
        "PromQL that gives 1 where it is well and 0 where it is not (a comparison with bool); RUNBOOK_VERIFY_QUERIES when left out",
      ),
    for: z
      .string()
      .regex(/^\d{1,4}[smh]$/, { error: "must be a time such as 90s, 5m or 1h" })
      .refine((time) => (parseDuration(time) ?? Infinity) <= HOLD_SECONDS_MAX, {
        error: "must be an hour at most",
      })
      .optional()
      .describe("How long it must stay well; RUNBOOK_VERIFY_HOLD_SECONDS when left out"),
  })
  .refine((verify) => Object.keys(verify).length > 0, {
    error: "must name query, for, or both",
  })
  .describe("How it is found out whether an action helped");

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
  collect: collectSchema.optional(),
  verify: verifySchema.optional(),
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
