import { z } from "zod";
import { HttpProblem } from "../lib/problem.ts";
import { equalInConstantTime } from "../lib/signature.ts";
import type { Secret } from "../lib/secret.ts";
import type { AnomalyFilter, AnomalyLabel } from "./types.ts";

const LISTED_MAX = 500;
const LISTED = 100;

const filterSchema = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,4}$/, "must be a number")
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= LISTED_MAX, `must be from 1 to ${LISTED_MAX}`)
    .optional(),
  state: z.enum(["open", "closed"], "must be open or closed").optional(),
  metric: z.string().max(100, "must be at most 100 characters").optional(),
});

const LABELS = ["false_positive", "real", "expected_change"] as const;

/** PostgreSQL refuses NUL; a line break in a name would forge a second line wherever it is printed. */
const CONTROL = /\p{Cc}|\p{Cs}/u;
const CONTROL_IN_NOTE = /[^\P{Cc}\n\t]|\p{Cs}/u;

const labelSchema = z.strictObject({
  label: z.enum(LABELS, `must be one of ${LABELS.join(", ")}`),
  by: z
    .string("must be a text")
    .trim()
    .min(1, "must not be empty")
    .max(200, "must be at most 200 characters")
    .refine((by) => !CONTROL.test(by), "must not contain control characters"),
  note: z
    .string("must be a text")
    .max(2000, "must be at most 2000 characters")
    .refine((note) => !CONTROL_IN_NOTE.test(note), "must not contain control characters")
    .optional(),
});

/** @throws HttpProblem 400 naming the parameter */
export function readFilter(query: unknown): AnomalyFilter {
  const { limit = LISTED, ...rest } = parse(filterSchema, query);
  return { limit, ...rest };
}

/** @throws HttpProblem 400 naming the field */
export function readLabel(body: unknown): Omit<AnomalyLabel, "at"> {
  const { label, by, note } = parse(labelSchema, body ?? {});
  return { label, by, note };
}

/**
 * @param authorization the request's header
 * @throws HttpProblem 403 when nobody may write because no token is configured, 401 when this is not it
 */
export function checkToken(authorization: string | undefined, token: Secret | undefined): void {
  if (token === undefined) {
    throw new HttpProblem(
      403,
      "Not allowed",
      "Labels are refused until DETECTOR_API_TOKEN is set.",
    );
  }
  const given = /^bearer (\S+)$/i.exec(authorization ?? "")?.[1] ?? "";
  if (!equalInConstantTime(given, token.reveal())) {
    throw new HttpProblem(401, "Unauthorized", "Send the bearer token of DETECTOR_API_TOKEN.", {
      "WWW-Authenticate": 'Bearer realm="fettle"',
    });
  }
}

function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join(".")}: ${message}`,
  );
  throw new HttpProblem(400, "Bad request", problems.join("; "));
}
