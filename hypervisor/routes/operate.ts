import type { Call, ChangeSubject } from "../frame/call.ts";
import type { AnyAnswer } from "../frame/answer.ts";
import { HttpProblem } from "../../lib/problem.ts";

/**
 * Does something short on the backend, and answers when it is done. What takes long becomes an operation: operations/begin.ts.
 *
 * @param check what the backend would say, for a dry run, which does not ask it
 */
export async function operate<R extends AnyAnswer>(
  call: Pick<Call<unknown, unknown, unknown, R>, "perform" | "dryRun">,
  subject: ChangeSubject,
  work: () => Promise<R>,
  check?: () => Promise<void>,
): Promise<R> {
  if (call.dryRun) await check?.();
  return call.perform(subject, work);
}

/** The one of this name. @throws HttpProblem 404 */
export function mustBeThere<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new HttpProblem(404, "Not found", `There is no ${what}.`);
  return found;
}

/** @throws HttpProblem 409 */
export function mustBeFree(taken: boolean, what: string): void {
  if (taken) throw new HttpProblem(409, "Conflict", `There is a ${what} already.`);
}

/** @throws HttpProblem 409 */
export function mustBeUnused(used: boolean, what: string): void {
  if (used) throw new HttpProblem(409, "Conflict", `The ${what} is in use.`);
}
