import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";

/** PostgreSQL refuses NUL and half characters; the others change how a text is read. */
const CONTROL = /[\p{Cc}\p{Cs}]/u;

/** A form that was left empty sends the field all the same. */
const unset = z.literal("").transform(() => undefined);

/** What a field that was left out, or left empty, and one that was filled in mean. */
export function optionalOf<T extends z.ZodType>(schema: T) {
  return z.union([unset, schema]).optional();
}

export function textField(lengthMax: number) {
  return z
    .string("must be given once")
    .max(lengthMax, `must be at most ${lengthMax} characters`)
    .refine((text) => !CONTROL.test(text), "must not contain control characters");
}

export const ROWS_SHOWN = 50;
const ROWS_MAX = 200;

export const limitField = z
  .string("must be given once")
  .regex(/^\d{1,4}$/, "must be a number")
  .transform(Number)
  .refine((limit) => limit >= 1 && limit <= ROWS_MAX, `must be from 1 to ${ROWS_MAX}`);

/** Where a list goes on: microseconds and id, as a Date has not all digits of the column. */
export const cursorField = z
  .string("must be given once")
  .regex(/^\d{1,16}\.[\w-]{1,100}$/, "must be the `next` of a list")
  .transform((text) => {
    const dot = text.indexOf(".");
    return { micros: text.slice(0, dot), id: text.slice(dot + 1) };
  });

const DAY = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** A day or a moment; without a zone it is UTC. */
export const momentField = z
  .string("must be given once")
  .refine(
    (text) => MOMENT.test(text) && !Number.isNaN(momentOf(text).getTime()),
    "must be a day (2026-11-21) or a time (2026-11-21T09:00Z)",
  )
  .transform(momentOf);

function momentOf(text: string): Date {
  const zoned = DAY.test(text) || /(Z|[+-]\d\d:\d\d)$/.test(text);
  return new Date(zoned ? text : `${text.replace(" ", "T")}Z`);
}

/**
 * Reads a query or a form by its schema.
 *
 * @throws HttpProblem 400 naming each field that is wrong, and what was expected
 */
export function readFields<T>(schema: z.ZodType<T>, given: unknown): T {
  const parsed = schema.safeParse(given ?? {});
  if (parsed.success) return parsed.data;
  throw new HttpProblem(400, "Bad request", parsed.error.issues.flatMap(wordsOf).join("; "));
}

function wordsOf(issue: z.core.$ZodIssue): readonly string[] {
  const name = issue.path.join(".");
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => `${key.slice(0, 60)}: is not known here`);
  // Of a field that may also be empty only the filled-in form's complaint is of use.
  if (issue.code === "invalid_union") {
    const inner = issue.errors.at(-1) ?? [];
    return inner.map(({ message }) => `${name}: ${message}`);
  }
  return [`${name}: ${issue.message}`];
}

/**
 * The id in an address. An id is never longer, and PostgreSQL refuses NUL.
 *
 * @throws HttpProblem 404
 */
export function readId({ id }: { readonly id?: unknown }, what: string): string {
  if (typeof id !== "string" || !/^[\w-]{1,100}$/.test(id)) throw unknownId(what);
  return id;
}

export function unknownId(what: string): HttpProblem {
  return new HttpProblem(404, `Unknown ${what}`, `There is no ${what} with this id.`);
}

/** The fields that are set, as the query of a link. */
export function queryOf(fields: Readonly<Record<string, string | number | Date | undefined>>) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    query.set(name, value instanceof Date ? value.toISOString() : String(value));
  }
  return query;
}
