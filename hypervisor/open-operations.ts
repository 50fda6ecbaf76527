import type { Registry } from "prom-client";
import type { Clock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { answeringProblems } from "./backend-problems.ts";
import type { Backend } from "./backends/types.ts";
import type { HypervisorConfig } from "./config.ts";
import { operationEvent } from "./events/container-events.ts";
import { standingIn } from "./live/standing.ts";
import { createOperationMetrics } from "./operation-metrics.ts";
import type { Operations } from "./operations/begin.ts";
import { createFollow, type Follow } from "./operations/follow.ts";
import { handlers } from "./operations/handlers.ts";
import { startRunner } from "./operations/run-operations.ts";
import { sweepOperations } from "./operations/sweep.ts";
import { storedQuotas } from "./people/quota.ts";
import { withinQuota, withinSnapshots } from "./routes/quota-use.ts";
import { pruneHandler } from "./schedules/prune.ts";
import { noteScheduled, runSchedules } from "./schedules/run-schedules.ts";
import { disabledEvent } from "./schedules/without-container.ts";
import { noteExported } from "./snapshots-export/table.ts";
import { exportHandler } from "./snapshots-export/handler.ts";
import type { Vault } from "./snapshots-export/types.ts";
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
  readonly vault: Vault;
  readonly registry: Registry;
}

const SWEEP_EVERY_MS = 60_000;

/** What does the operations that are written down, and shows how far they are. */
export function openOperations(
  { operationLeaseSeconds: leaseSeconds }: Pick<HypervisorConfig, "operationLeaseSeconds">,
  { stack, ...deps }: Deps,
): OpenOperations {
  const { database, clock, log, vault } = deps;
  const backend = answeringProblems(deps.backend);
  const asking = { database, quotas: storedQuotas(database, deps.events) };
  const metrics = createOperationMetrics(deps.registry, database);
  const runner = startRunner({
    ...deps,
    backend,
    handlers: {
      ...handlers,
      create: withinQuota(asking, handlers.create),
      snapshot: withinSnapshots(asking, handlers.snapshot),
      clone: withinQuota(asking, handlers.clone),
      "export-snapshot": exportHandler({ vault, clock }),
      prune: pruneHandler(database),
    },
    leaseSeconds,
    ending: async (tx, claim, outcome) => {
      await noteScheduled(tx, claim, outcome);
      await noteExported(tx, vault.store?.name, claim, outcome);
    },
    begun: metrics.begun,
    ended: (claim, outcome) => {
      metrics.ended(claim, outcome);
      for (const event of [operationEvent(claim, outcome), disabledEvent(claim, outcome)])
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
