import type { Clock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { answeringProblems } from "./backend-problems.ts";
import type { Backend } from "./backends/types.ts";
import type { HypervisorConfig } from "./config.ts";
import { operationEvent } from "./events/container-events.ts";
import { standingIn } from "./live/standing.ts";
import type { Operations } from "./operations/begin.ts";
import { createFollow, type Follow } from "./operations/follow.ts";
import { handlers } from "./operations/handlers.ts";
import { startRunner } from "./operations/run-operations.ts";
import { sweepOperations } from "./operations/sweep.ts";
import { vdcQuotas } from "./people/quota.ts";
import { withinQuota } from "./routes/quota-use.ts";
import { pruneHandler } from "./schedules/prune.ts";
import { noteScheduled, runSchedules } from "./schedules/run-schedules.ts";
import type { EventSink } from "./types.ts";

export interface OpenOperations {
  readonly operations: Operations;
  readonly follow: Follow;
}

interface Deps {
  readonly database: Database;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventSink;
  readonly stack: StopStack;
}

const SWEEP_EVERY_MS = 60_000;

/** What does the operations that are written down, and shows how far they are. */
export function openOperations(
  { operationLeaseSeconds: leaseSeconds }: Pick<HypervisorConfig, "operationLeaseSeconds">,
  { stack, ...deps }: Deps,
): OpenOperations {
  const { database, clock, log } = deps;
  const backend = answeringProblems(deps.backend);
  const asking = { database, quotas: vdcQuotas(database, deps.events) };
  const runner = startRunner({
    ...deps,
    backend,
    handlers: {
      ...handlers,
      create: withinQuota(asking, handlers.create),
      clone: withinQuota(asking, handlers.clone),
      prune: pruneHandler(database),
    },
    leaseSeconds,
    ending: noteScheduled,
    ended: (claim, outcome) => {
      const event = operationEvent(claim, outcome);
      if (event !== undefined) void deps.events.record(event);
    },
  });
  stack.add("operations", async () => runner.stop());
  const follow = createFollow({ ...deps, standing: standingIn(database) });
  stack.add("progress sockets", async () => follow.stop());
  const { kick } = runner;
  const stopping = new AbortController();
  const scheduling = runSchedules({ ...deps, backend, kick }, stopping.signal);
  const sweeping = (async () => {
    while (!stopping.signal.aborted) {
      await sweepOperations(database).catch((error: unknown) => {
        log.warn("operations not swept", { error });
      });
      await clock.sleep(SWEEP_EVERY_MS, stopping.signal);
    }
  })();
  stack.add("schedules and the sweep of operations", async () => {
    stopping.abort();
    await Promise.all([scheduling, sweeping]);
  });
  return { operations: { database, kick }, follow };
}
