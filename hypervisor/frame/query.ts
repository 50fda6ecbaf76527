import { z } from "zod";

/** A query parameter that is a whole number from `min` to `max`. */
export function countOf(min: number, max: number): z.ZodType<number, string> {
  const error = `must be a number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, { error })
    .transform(Number)
    .refine((count) => count >= min && count <= max, { error })
    .meta({ override: { type: "integer", minimum: min, maximum: max } });
}
