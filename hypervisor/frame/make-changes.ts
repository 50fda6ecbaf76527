import { messageOf } from "../../lib/error.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Principal } from "../types.ts";
import type { AnyAnswer } from "./answer.ts";
import type { Call, ChangeSubject } from "./call.ts";
import { HiddenProblem } from "./guard.ts";
import {
  findKept,
  replayed,
  freeKey,
  keepAnswer,
  leaveUnknown,
  takeKey,
  TakenError,
  type KeyedRequest,
} from "./kept-answers.ts";
import { appendDeed, type Deed } from "./record.ts";
import type { Mutation } from "./route.ts";

/** Ends a handler's work early with an answer that the router knows: a dry run's, or one that was kept. */
export class Answered extends Error {
  override readonly name = "Answered";
  readonly answer: AnyAnswer;

  constructor(answer: AnyAnswer) {
    super("already answered");
    this.answer = answer;
  }
}

export interface ChangeContext {
  readonly database: Database;
  readonly mutation: Mutation;
  readonly principal: Principal;
  readonly ip: string;
  readonly dryRun: boolean;
  readonly keyed: KeyedRequest | undefined;
  /** As the client will see it, without what the route's schema does not know. */
  readonly shown: (answer: AnyAnswer) => AnyAnswer;
  /** Told of each row, so that the router knows that there was one. */
  readonly recorded: () => void;
}

/** {@link Call.change} and {@link Call.perform} of one request. */
export function changesOf(context: ChangeContext): Pick<Call, "change" | "perform"> {
  return {
    change: async (subject, work) =>
      orAnswerKept(context, async () => change(context, subject, work)),
    perform: async (subject, work) =>
      orAnswerKept(context, async () => perform(context, subject, work)),
  };
}

async function orAnswerKept<R>(
  { database, keyed }: ChangeContext,
  work: () => Promise<R>,
): Promise<R> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TakenError) || keyed === undefined) throw error;
    const kept = await findKept(database, keyed);
    if (kept === undefined) throw error;
    throw new Answered(replayed(kept));
  }
}

const NOT_IMPLEMENTED = 501;

type Outcome<R> = { readonly answer: R } | { readonly problem: HttpProblem };

async function change<R extends AnyAnswer>(
  context: ChangeContext,
  subject: ChangeSubject,
  work: (tx: Queryable) => Promise<R>,
): Promise<R> {
  const { database, dryRun, keyed } = context;
  context.recorded();
  const outcome = await database
    .inTransaction(async (tx): Promise<Outcome<R>> => {
      // Before the work: a second request with the key waits here for the first, and then finds its answer.
      if (keyed !== undefined) await takeKey(tx, keyed);
      const done = await inSavepoint(tx, dryRun, async () => work(tx));
      if (dryRun) {
        if ("problem" in done) await recordProbe(tx, context, subject, done.problem);
        return done;
      }
      if ("problem" in done) {
        if (keyed !== undefined) await freeKey(tx, keyed);
        await appendDeed(tx, refusal(context, subject, done.problem));
      } else {
        if (keyed !== undefined) await keepAnswer(tx, keyed, context.shown(done.answer));
        if (subject.isNews?.() !== false)
          await appendDeed(tx, deed(context, subject, subject.begins ? "Started" : "Success"));
      }
      return done;
    })
    .catch(async (error: unknown) => {
      if (!(error instanceof TakenError)) await recordFailure(context, subject, error);
      throw error;
    });
  if ("problem" in outcome) throw outcome.problem;
  if (dryRun) throw new Answered(dryRunAnswer(context, subject, outcome.answer));
  return outcome.answer;
}

/** A problem, or a dry run, takes back what the work did and leaves the transaction usable for its row. */
async function inSavepoint<R>(
  tx: Queryable,
  takeBack: boolean,
  work: () => Promise<R>,
): Promise<Outcome<R>> {
  await tx.query("SAVEPOINT work");
  try {
    const answer = await work();
    if (takeBack) await tx.query("ROLLBACK TO SAVEPOINT work");
    return { answer };
  } catch (error) {
    if (!(error instanceof HttpProblem)) throw error;
    await tx.query("ROLLBACK TO SAVEPOINT work");
    return { problem: error };
  }
}

async function perform<R extends AnyAnswer>(
  context: ChangeContext,
  subject: ChangeSubject,
  work: () => Promise<R>,
): Promise<R> {
  const { database, keyed, dryRun } = context;
  context.recorded();
  if (dryRun) throw new Answered(dryRunAnswer(context, subject, undefined));
  await database.inTransaction(async (tx) => {
    if (keyed !== undefined) await takeKey(tx, keyed);
    await appendDeed(tx, deed(context, subject, "Started"));
  });
  let answer: R;
  try {
    answer = await work();
  } catch (error) {
    await recordEnd(context, subject, error);
    throw error;
  }
  await database.inTransaction(async (tx) => {
    if (keyed !== undefined) await keepAnswer(tx, keyed, context.shown(answer));
    await appendDeed(tx, deed(context, subject, "Success"));
  });
  return answer;
}

/** A refusal is the backend's word that nothing was done, as is that it cannot do it at all; after anything else nobody knows. */
async function recordEnd(
  context: ChangeContext,
  subject: ChangeSubject,
  error: unknown,
): Promise<void> {
  const { database, keyed } = context;
  const refused =
    error instanceof HttpProblem && (error.status < 500 || error.status === NOT_IMPLEMENTED);
  await database.inTransaction(async (tx) => {
    if (keyed !== undefined) await (refused ? freeKey(tx, keyed) : leaveUnknown(tx, keyed));
    await appendDeed(
      tx,
      refused
        ? refusal(context, subject, error)
        : {
            ...deed(context, subject, "Failure"),
            summary: `${subject.summary}: ${messageOf(error)}`,
          },
    );
  });
}

/** The transaction is gone, and with it the change; that it was tried is written down if the database still answers. */
async function recordFailure(
  context: ChangeContext,
  subject: ChangeSubject,
  error: unknown,
): Promise<void> {
  if (context.dryRun) return;
  const failure = deed(context, subject, "Failure");
  await appendDeed(context.database, {
    ...failure,
    summary: `${subject.summary}: ${messageOf(error)}`,
  }).catch(() => undefined); // the caller gets the first error, which says the same
}

function deed(
  { mutation, principal, ip }: ChangeContext,
  subject: ChangeSubject,
  result: Deed["result"],
): Deed {
  return {
    actor: subject.actor ?? principal.name,
    action: subject.action ?? mutation.action,
    resource: mutation.resource,
    id: subject.id,
    result,
    summary: subject.summary,
    facts: subject.facts,
    ip,
    organization: subject.organization ?? principal.organization,
    token: principal.token,
  };
}

function refusal(context: ChangeContext, subject: ChangeSubject, problem: HttpProblem): Deed {
  const refused = [401, 403, 429].includes(problem.status) || problem instanceof HiddenProblem;
  const why = problem.detail ?? problem.title;
  return {
    ...deed(context, subject, refused ? "Refused" : "Failure"),
    summary: `${subject.summary}: ${why}`,
  };
}

/** What somebody may not do is not to be found out silently; that a change would fail for another reason is no news. */
async function recordProbe(
  tx: Queryable,
  context: ChangeContext,
  subject: ChangeSubject,
  problem: HttpProblem,
): Promise<void> {
  if (![401, 403, 404].includes(problem.status)) return;
  const row = refusal(context, subject, problem);
  await appendDeed(tx, { ...row, summary: `Dry run: ${row.summary}` });
}

function dryRunAnswer(
  { mutation, shown }: ChangeContext,
  subject: ChangeSubject,
  answer: AnyAnswer | undefined,
): AnyAnswer {
  const would = answer === undefined || mutation.secretAnswer === true ? undefined : shown(answer);
  return {
    status: 200,
    body: {
      dry_run: true,
      action: subject.action ?? mutation.action,
      resource_type: mutation.resource,
      resource_id: subject.id,
      summary: subject.summary,
      ...(subject.facts === undefined ? {} : { facts: subject.facts }),
      ...(would === undefined ? {} : { would: { status: would.status, body: would.body } }),
    },
  };
}
