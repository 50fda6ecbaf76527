import type { z } from "zod";
import { readBounded } from "../../../exchange.ts";
import { ServiceFailure } from "../vendor-error.ts";

/** A page of a listing with a thousand files takes a tenth of it. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** The body of an answer, if it has the form that the service promises: what says yes to everything is no store. */
export async function answerOf<T>(response: Response, form: z.ZodType<T>): Promise<T> {
  let answer: unknown;
  try {
    answer = JSON.parse(await readBounded(response.body ?? [], ANSWER_BYTES_MAX));
  } catch {
    throw new ServiceFailure("unavailable", "the answer is not what this service says");
  }
  const parsed = form.safeParse(answer);
  if (parsed.success) return parsed.data;
  const [where] = parsed.error.issues;
  throw new ServiceFailure(
    "unavailable",
    `the answer is not what this service says (${where?.path.join(".") ?? ""})`,
  );
}

/** A text as JSON of this form; undefined when it has another one. */
export function formed<T>(text: string, form: z.ZodType<T>): T | undefined {
  try {
    return form.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
