import type { z } from "zod";
import { newId } from "../../lib/id.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import type { AnyAnswer } from "../frame/answer.ts";
import type { Call, ChangeSubject } from "../frame/call.ts";
import { queueUp } from "./makings.ts";
import { findProgress } from "./progress-table.ts";
import type { progressSchema } from "./shown-progress.ts";
import {
  insertOperation,
  objectOf,
  organizationOf,
  refuseBusy,
  type NewOperation,
} from "./table.ts";
import type { Work } from "./types.ts";

export interface Operations {
  readonly database: Database;
  /** Told after an operation was written. */
  readonly kick: () => void;
}

/** What a route with a long operation answers: 202, and where its progress is. */
export interface Accepted extends AnyAnswer {
  readonly status: 202;
  readonly body: z.input<typeof progressSchema>;
}

/**
 * Writes down what is to be done, with its audit row `Started` and the answer for the same Idempotency-Key in one
 * transaction. It is done soon, by this process or another one, which writes the row of its end.
 *
 * @param hasRoom whether the project's quota allows it
 * @throws HttpProblem 409 while another operation has the container, 429 when too many of the organization have not ended
 */
export async function begin(
  { database, kick }: Operations,
  call: Pick<
    Call<unknown, unknown, unknown, Accepted>,
    "change" | "perform" | "dryRun" | "principal" | "ip"
  >,
  subject: ChangeSubject,
  work: Work,
  hasRoom?: (tx: Queryable) => Promise<void>,
): Promise<Accepted> {
  const { principal, ip } = call;
  if (call.dryRun) {
    await refuseBusy(database, objectOf(work));
    await database.inTransaction(async (tx) => {
      await queueUp(tx, work.project, principal.organization);
      await hasRoom?.(tx);
    });
    return call.perform(subject, async () =>
      Promise.reject(new Error("a dry run came to its work")),
    );
  }
  const id = newId("op");
  const facts = { ...subject.facts, operation: id };
  const organization = await organizationOf(database, work.project);
  const begun = { organization, ...subject, facts, begins: true } as const;
  const answer = await call.change(begun, async (tx) => {
    const operation: NewOperation = {
      id,
      work,
      resourceId: subject.id,
      organization: principal.organization,
      actor: principal.name,
      ip,
      token: principal.token,
      summary: subject.summary,
      facts: subject.facts,
    };
    await insertOperation(tx, operation, hasRoom);
    const body = await findProgress(tx, id, { organization: undefined });
    if (body === undefined) throw new Error("the operation is not there");
    return { status: 202, body, headers: { Location: `/progress/${id}` } } as const;
  });
  kick();
  return answer;
}
