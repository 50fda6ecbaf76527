import type { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import { readFields } from "../pages/read-query.ts";

/** Options that mean the same as a page's filters. @throws RangeError that names the first wrong one */
export function readOptions<T>(schema: z.ZodType<T>, options: object): T {
  try {
    return readFields(schema, options);
  } catch (error) {
    if (error instanceof HttpProblem)
      throw new RangeError(`--${error.detail ?? error.message}`, { cause: error });
    throw error;
  }
}
