import { randomUUID } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { withCorrelation } from "../../lib/correlation.ts";
import { messageOf } from "../../lib/error.ts";
import { failpoint } from "../../lib/failpoint.ts";
import type { Log } from "../../lib/log.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { AuditAction } from "../audit-actions.ts";
import type { Backend } from "../backends/types.ts";
import { claimNext, endOperation, release, renew, tellStep } from "./table.ts";
import type { Claim, Handler, Handlers, Outcome, Run, Work } from "./types.ts";

export interface RunnerDeps {
  readonly database: Database;
  /** Its refusals are HttpProblems. */
  readonly backend: Backend;
  readonly handlers: Handlers;
  readonly clock: Clock;
  readonly log: Log;
  /** An operation of a process that was killed waits so long for another one. */
  readonly leaseSeconds: number;
  /** After the backend's deadline it is looked at for so long. */
  readonly lateMs?: number;
  /** When it is begun for the first time; never throws. */
  readonly begun?: (claim: Claim) => void;
  /** In the transaction of the end. */
  readonly ending: (tx: Queryable, claim: Claim, outcome: Outcome) => Promise<void>;
  /** After it; never throws. */
  readonly ended: (claim: Claim, outcome: Outcome) => void;
}

export interface Runner {
  /** There is something to do now. */
  readonly kick: () => void;
  /** Gives back what runs: another process will look at what became of it. */
  readonly stop: () => Promise<void>;
}

/** At once in this process; the others wait in the table. */
const SLOTS = 8;
/** Of those: the longest ones, and each reads and seals as fast as it can. */
const EXPORTS_MAX = 2;
/** Other replicas' operations, and those of processes that ended, are found by looking. */
const LOOK_EVERY_MS = 1_000;
/** Of those that the backend is late with, which only look: so many take no slot. */
const LATE_MAX = 56;
const LATE_MS = 600_000;
const LOOK_AGAIN_MS = 5_000;
/** What a backend that is still at it, or overloaded, answers. */
const PASSING: ReadonlySet<number> = new Set([409, 503, 504]);
/** Until the database answers again. */
const RETRY_MS = 500;

interface State {
  readonly deps: RunnerDeps;
  readonly owner: string;
  readonly stopping: AbortController;
  readonly running: Set<Promise<void>>;
  readonly late: Set<Claim>;
  readonly exporting: Set<Claim>;
  readonly kick: () => void;
}

/** Does what stands in the table of operations, whoever wrote it there. */
export function startRunner(deps: RunnerDeps): Runner {
  const stopping = new AbortController();
  let kicked = new AbortController();
  const kick = () => {
    kicked.abort();
  };
  const state: State = {
    deps,
    owner: randomUUID(),
    stopping,
    running: new Set(),
    late: new Set(),
    exporting: new Set(),
    kick,
  };
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      kicked = new AbortController();
      await claimAll(state);
      await deps.clock.sleep(LOOK_EVERY_MS, AbortSignal.any([kicked.signal, stopping.signal]));
    }
  };
  const done = loop();
  return {
    kick,
    stop: async () => {
      stopping.abort();
      await done;
      await Promise.all(state.running);
    },
  };
}

async function claimAll(state: State): Promise<void> {
  const { deps, owner, stopping, running, late, exporting } = state;
  const busy = () => running.size - Math.min(late.size, LATE_MAX);
  while (busy() < SLOTS && !stopping.signal.aborted) {
    const without: readonly AuditAction[] =
      exporting.size < EXPORTS_MAX ? [] : ["SnapshotExported"];
    const claimer = { owner, leaseSeconds: deps.leaseSeconds, without };
    const claim = await claimNext(deps.database, claimer).catch((error: unknown) => {
      deps.log.warn("operations not looked for", { error: messageOf(error) });
      return undefined;
    });
    if (claim === undefined) return;
    if (claim.epoch === 1) deps.begun?.(claim);
    if (claim.kind === "SnapshotExported") exporting.add(claim);
    const work = withCorrelation(claim.correlationId ?? claim.id, async () => runOne(state, claim));
    running.add(work);
    void work.finally(() => {
      running.delete(work);
      exporting.delete(claim);
      state.kick(); // others may wait for its slot, or its container
    });
  }
}

async function runOne(state: State, claim: Claim): Promise<void> {
  const { deps, stopping } = state;
  const { database, log } = deps;
  const ours = new AbortController();
  const signal = AbortSignal.any([ours.signal, stopping.signal]);
  const renewing = keep(deps, claim, ours);
  try {
    const outcome = await outcomeOf(state, claim, signal);
    if (outcome !== undefined) await end(deps, claim, { outcome, signal: stopping.signal });
    else if (!ours.signal.aborted) await release(database, claim);
  } catch (error) {
    // The lease ends by itself, and whoever takes over looks at what became of it.
    log.error("operation left in the middle", { operation: claim.id, error });
  } finally {
    ours.abort();
    await renewing;
  }
}

/** Holds the lease, and ends the work when it is lost: somebody else may be at it. */
async function keep(
  { database, clock, log, leaseSeconds }: RunnerDeps,
  claim: Claim,
  ours: AbortController,
): Promise<void> {
  const isOver = () => ours.signal.aborted;
  let heldUntil = performance.now() + leaseSeconds * 1000;
  while (!isOver()) {
    await clock.sleep((leaseSeconds * 1000) / 3, ours.signal);
    if (isOver()) return;
    const asked = performance.now();
    const held = await renew(database, claim, leaseSeconds).catch(() => undefined);
    if (held === true) heldUntil = asked + leaseSeconds * 1000;
    if (held === false || performance.now() > heldUntil) {
      log.warn("operation lost to another process", { operation: claim.id });
      ours.abort();
    }
  }
}

/** Undefined: it was given up in the middle, as it is not ours any more or the service stops. */
async function outcomeOf(
  state: State,
  claim: Claim,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const { deps } = state;
  const { backend, database } = deps;
  // The table has one handler for each verb; TypeScript does not see that work and handler belong together.
  const handler = deps.handlers[claim.work.verb] as unknown as Handler<Work>;
  const tell: Run["tell"] = async (step) => tellStep(database, claim, step);
  const run: Run = { backend, claim, signal, tell };
  try {
    if (claim.epoch > 1) return await goOn(handler, run, "an interruption");
    await failpoint("operation-begun");
    const result = await handler.perform(claim.work, run);
    await failpoint("operation-acted");
    return { kind: "completed", result, message: "done", ...factsOf(handler, result) };
  } catch (error) {
    if (signal.aborted) return undefined;
    return isLate(error) ? whenLate(state, handler, run, error) : failure(error);
  }
}

function failure(error: unknown): Outcome {
  const nothingDone = error instanceof HttpProblem && error.status < 500;
  const notFound = error instanceof HttpProblem && error.status === 404;
  return { kind: "failed", error: said(error), nothingDone, notFound };
}

function isLate(error: unknown): boolean {
  return error instanceof HttpProblem && error.status === 504;
}

/**
 * "It may still do it": until the backend tells, the container is this operation's, so that nothing else is done to it.
 * The slot is for others.
 */
async function whenLate(
  state: State,
  handler: Handler<Work>,
  run: Run,
  late: unknown,
): Promise<Outcome | undefined> {
  const { clock, lateMs = LATE_MS } = state.deps;
  const until = performance.now() + lateMs;
  const isOver = () => run.signal.aborted;
  state.late.add(run.claim);
  state.kick();
  try {
    while (performance.now() < until) {
      await clock.sleep(LOOK_AGAIN_MS, run.signal);
      if (isOver()) return undefined;
      try {
        const outcome = await goOn(handler, run, "the backend's deadline");
        if (outcome.kind === "completed") return outcome;
      } catch (error) {
        if (isOver()) return undefined;
        const passing = error instanceof HttpProblem && PASSING.has(error.status);
        if (!passing) return { kind: "failed", error: said(error) };
      }
    }
    return { kind: "failed", error: said(late) };
  } finally {
    state.late.delete(run.claim);
  }
}

/** Nobody knows how far it came: nothing is done that may have been done already. */
async function goOn(handler: Handler<Work>, run: Run, after: string): Promise<Outcome> {
  const { work } = run.claim;
  const found = await handler.look(work, run);
  if (found.kind === "unknown") return { kind: "failed", error: found.why };
  const message = `found done after ${after}`;
  if (found.kind === "done") return { kind: "completed", result: found.result, message };
  const result = await handler.perform(work, run).catch((error: unknown) => {
    if (error instanceof HttpProblem && error.status === 404) return undefined; // it is gone by now, as it should be
    throw error;
  });
  return {
    kind: "completed",
    result,
    message: `done after ${after}`,
    ...factsOf(handler, result),
  };
}

function factsOf({ facts }: Handler<Work>, result: object | undefined) {
  return result === undefined ? {} : { facts: facts?.({ ...result }) };
}

function said(error: unknown): string {
  if (error instanceof HttpProblem) return error.detail ?? error.title;
  return messageOf(error);
}

/** What was done must be on record: it is tried until it is, or the operation is somebody else's. */
async function end(
  { database, clock, log, ending, ended }: RunnerDeps,
  claim: Claim,
  { outcome, signal }: { readonly outcome: Outcome; readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    try {
      const written = await endOperation(database, claim, outcome, async (tx) =>
        ending(tx, claim, outcome),
      );
      if (written) ended(claim, outcome);
      else log.warn("operation ended by another process", { operation: claim.id });
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn("end of an operation not written yet", { operation: claim.id, error });
      await clock.sleep(RETRY_MS, signal);
    }
  }
}
