import { z } from "zod";
import { HttpProblem } from "../lib/problem.ts";
import { equalInConstantTime } from "../lib/signature.ts";
import type { Secret } from "../lib/secret.ts";
import type { AnomalyCursor, AnomalyFilter } from "./types/anomaly.ts";
import type { AnomalyLabel, LabelName } from "./types/labels.ts";

const LISTED_MAX = 500;
const LISTED = 100;

/** PostgreSQL refuses NUL; a line break in a name would forge a second line wherever it is printed. */
const CONTROL = /\p{Cc}|\p{Cs}/u;

/** A form that was left empty sends the field all the same. */
const unset = z.literal("").transform(() => undefined);

const filterSchema = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,4}$/, "must be a number")
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= LISTED_MAX, `must be from 1 to ${LISTED_MAX}`)
    .optional(),
  state: z.union([z.enum(["open", "closed"]), unset], "must be open or closed").optional(),
  metric: z
    .union([
      unset,
      z
        .string()
        .max(100, "must be at most 100 characters")
        .refine((metric) => !CONTROL.test(metric), "must not contain control characters"),
    ])
    .optional(),
  after: z
    .string()
    .regex(/^\d{1,15}\.[\w-]{1,100}$/, "must be the `next` of a list")
    .transform((text) => {
      const dot = text.indexOf(".");
      return { openedAt: Number(text.slice(0, dot)), id: text.slice(dot + 1) };
    })
    .optional(),
});

const LABELS = ["false_positive", "real", "expected_change"] as const satisfies LabelName[];

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

/** The value of `after` that goes on behind an anomaly. */
export function cursorOf({ openedAt, id }: AnomalyCursor): string {
  return `${openedAt}.${id}`;
}

/** @throws HttpProblem 400 naming the field */
export function readLabel(body: unknown): Omit<AnomalyLabel, "at"> {
  const { label, by, note } = parse(labelSchema, body ?? {});
  return { label, by, note };
}

/** What a page's form sends: every field, in the browser's line breaks. */
const formSchema = z.strictObject({
  label: z.string().default(""),
  by: z.string().default(""),
  note: z.string().default(""),
  token: z.string().default(""),
});

/** A label as it was typed into a page's form, with the token that lets it in. */
export type LabelForm = z.infer<typeof formSchema>;

/** @throws HttpProblem 400 naming the field */
export function readLabelForm(body: unknown): LabelForm {
  return parse(formSchema, body ?? {});
}

/** @throws HttpProblem 400 naming the field */
export function labelOfForm({
  label,
  by,
  note,
}: Omit<LabelForm, "token">): Omit<AnomalyLabel, "at"> {
  const lines = note.replaceAll("\r\n", "\n");
  return readLabel({ label, by, ...(lines.trim() === "" ? {} : { note: lines }) });
}

/**
 * @param authorization the request's header
 * @throws HttpProblem 403 when nobody may write because no token is configured, 401 when this is not it
 */
export function checkAuthorization(
  authorization: string | undefined,
  token: Secret | undefined,
): void {
  checkToken(/^bearer (\S+)$/i.exec(authorization ?? "")?.[1] ?? "", token);
}

/** @throws HttpProblem as above */
export function checkToken(given: string, token: Secret | undefined): void {
  if (token === undefined) {
    throw new HttpProblem(
      403,
      "Not allowed",
      "Labels are refused until DETECTOR_API_TOKEN is set.",
    );
  }
  if (!equalInConstantTime(given, token.reveal())) {
    throw new HttpProblem(401, "Unauthorized", "Send the bearer token of DETECTOR_API_TOKEN.", {
      "WWW-Authenticate": 'Bearer realm="fettle"',
    });
  }
}

/**
 * The id in an address. An id is never longer, and PostgreSQL refuses NUL.
 *
 * @throws HttpProblem 404
 */
export function readId({ id }: { readonly id?: unknown }): string {
  if (typeof id !== "string" || !/^[\w-]{1,100}$/.test(id)) throw unknownAnomaly();
  return id;
}

export function unknownAnomaly(): HttpProblem {
  return new HttpProblem(404, "Unknown anomaly", "There is no anomaly with this id.");
}

function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join(".")}: ${message}`,
  );
  throw new HttpProblem(400, "Bad request", problems.join("; "));
}
