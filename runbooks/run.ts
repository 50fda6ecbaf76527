import { withCorrelation } from "../lib/correlation.ts";
import { failpoint } from "../lib/failpoint.ts";
import { inSpan, inSpanFrom } from "../lib/tracing.ts";
import { leaseRun, LeaseLost, releaseLease, renewLease } from "./ledger.ts";
import { awaitAnswer } from "./steps/await-answer.ts";
import { awaitDiagnostics } from "./steps/await-diagnostics.ts";
import { beginCollecting } from "./steps/begin-collecting.ts";
import { decideAndAsk } from "./steps/decide-and-ask.ts";
import { execute } from "./steps/execute.ts";
import { recheckAndGuard } from "./steps/recheck-and-guard.ts";
import type { Progress, RunDeps } from "./steps/step.ts";
import { verify } from "./steps/verify.ts";
import type { ActiveState, Run } from "./types/run.ts";

/**
 * The way of a run, in order. Each step commits its state and its audit rows together; after a crash the next worker goes on
 * at the state that it finds. The guard comes after the human: an approval can take minutes, and the breaker may be full
 * meanwhile.
 */
const STEPS: Readonly<Record<ActiveState, (run: Run, deps: RunDeps) => Promise<Progress>>> = {
  matched: beginCollecting,
  collecting: awaitDiagnostics,
  collected: decideAndAsk,
  approval_pending: awaitAnswer,
  approved: recheckAndGuard,
  intent: execute,
  verifying: verify,
};

/** After an error: what is broken for one run is often broken for all, and must not be asked without a pause. */
const ERROR_LOOK_SECONDS = 5;
const LEASE_RENEWALS = 6; // a lease of 30 s is renewed every 5 s, so that one lost renewal does not lose the run

/** Leads a run as far as it goes now. Any number of workers may call it for the same run: one of them works. */
export async function advanceRun(runId: string, deps: RunDeps): Promise<void> {
  const { database, owner, leaseSeconds: seconds } = deps;
  const leased = await leaseRun({ id: runId, owner, seconds }, database);
  if (leased === undefined) return; // somebody is at it, or it has ended; what is left is found by the sweep
  const heartbeat = setInterval(
    () => {
      renewLease(leased, seconds, database).catch((error: unknown) => {
        deps.log.warn("lease not renewed", { run: runId, error });
      });
    },
    (seconds * 1000) / LEASE_RENEWALS,
  );
  let lookAfterSeconds: number | undefined = ERROR_LOOK_SECONDS;
  try {
    await withCorrelation(leased.correlationId ?? runId, async () =>
      inSpanFrom(leased.traceparent, "runbooks.run", { run: runId }, async () => {
        lookAfterSeconds = await walk(leased, deps);
      }),
    );
  } catch (error) {
    if (!(error instanceof LeaseLost)) throw error;
    deps.log.warn("run taken over by another worker", { run: runId });
  } finally {
    clearInterval(heartbeat);
    await releaseLease(leased, lookAfterSeconds, database);
  }
}

/** @returns when somebody should look again, in seconds; undefined: as it was planned before */
async function walk(leased: Run, deps: RunDeps): Promise<number | undefined> {
  let run = leased;
  while (isActive(run)) {
    const { state } = run;
    const progress = await inSpan(`runbooks.${state}`, { run: run.id }, async () =>
      STEPS[state](run, deps),
    );
    if (progress.kind === "waiting") return progress.lookAfterSeconds;
    deps.log.info("run moved", {
      run: run.id,
      target: run.targetKey,
      from: state,
      to: progress.run.state,
    });
    deps.moved(progress.run.state);
    run = progress.run;
    await failpoint(`after-${state}`);
  }
  return undefined;
}

function isActive(run: Run): run is Run & { readonly state: ActiveState } {
  return run.state in STEPS;
}
