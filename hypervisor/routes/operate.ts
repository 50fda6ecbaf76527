import type { Call, ChangeSubject } from "../frame/call.ts";
import type { AnyAnswer } from "../frame/answer.ts";

/** Does something short on the backend, and answers when it is done. What takes long becomes an operation: operations/begin.ts. */
export async function operate<R extends AnyAnswer>(
  call: Pick<Call<unknown, unknown, unknown, R>, "perform">,
  subject: ChangeSubject,
  work: () => Promise<R>,
): Promise<R> {
  return call.perform(subject, work);
}
