import { Gauge, type Registry } from "prom-client";
import { systemClock, type Clock } from "../lib/clock.ts";
import type { Jobs } from "../lib/jobs.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Database } from "../lib/postgres.ts";
import { collect, StoreRest, type CollectDeps } from "./collect/collect.ts";
import {
  dueCollections,
  forgetOld,
  isSettled,
  orderCollection,
  waitingUploads,
} from "./collect/table.ts";
import type { CollectorGate, CollectStep } from "./types/collect.ts";
import type { Enqueue, Runbook } from "./types/intake.ts";

/** Orders collections, and asks how far they are. */
function openCollector({
  database,
  enqueue,
  stepsOf,
}: {
  readonly database: Database;
  readonly enqueue: Enqueue;
  /** What is to be collected for a runbook. */
  readonly stepsOf: (runbook: string) => readonly CollectStep[];
}): CollectorGate {
  return {
    begin: async (tx, run) => {
      const steps = stepsOf(run.runbook);
      if (steps.length === 0) return false;
      const ordered = await orderCollection(tx, { runId: run.id, key: keyOf(run), steps });
      if (ordered) await enqueue(tx, "runbooks-collect", { runId: run.id });
      return ordered;
    },
    settled: async (runId) => isSettled(runId, database),
  };
}

/** `runs/2026/11/21/run_…/diagnostics.tar.gz` */
function keyOf({ id, createdAt }: { readonly id: string; readonly createdAt: Date }): string {
  const day = createdAt.toISOString().slice(0, 10).replaceAll("-", "/");
  return `runs/${day}/${id}/diagnostics.tar.gz`;
}

const WORKERS = 4;
const SWEEP_MS = 5_000;
const HELD_DAYS = 30;
const FORGET_EVERY = 720; // sweeps: an hour

type CollectingDeps = Omit<CollectDeps, "rest" | "clock" | "stopping"> & {
  readonly jobs: Jobs;
  readonly registry: Registry;
  readonly clock?: Clock;
  /** False: nothing is collected. */
  readonly on: boolean;
  /** The catalogue as it is now. */
  readonly runbooks: () => readonly Runbook[];
};

/** The gate of the runs, with those who work behind it. */
export async function openCollecting(
  deps: CollectingDeps,
  stack: StopStack,
): Promise<CollectorGate> {
  const { on, runbooks } = deps;
  await startCollecting(deps, stack);
  return openCollector({
    ...deps,
    stepsOf: (id) => (on ? (runbooks().find((runbook) => runbook.id === id)?.collect ?? []) : []),
  });
}

/** Starts those who gather and upload, and the sweep that finds what they left behind, until the stack stops. */
async function startCollecting(deps: CollectingDeps, stack: StopStack): Promise<void> {
  const { jobs, log, database, registry, clock = systemClock } = deps;
  const stopping = new AbortController();
  const working = { ...deps, clock, rest: new StoreRest(), stopping: stopping.signal };
  await jobs.work<{ runId: string }>(
    "runbooks-collect",
    async ({ runId }) => collect(runId, working),
    { slots: WORKERS },
  );
  new Gauge({
    name: "runbooks_diagnostics_pending",
    help: "Bundles of diagnostics that their store does not have yet",
    registers: [registry],
    async collect() {
      this.set(await waitingUploads(database).catch(() => NaN));
    },
  });
  const sweeping = sweep(stopping.signal, { ...working, log });
  stack.add("collector", async () => {
    stopping.abort();
    await sweeping;
  });
}

async function sweep(
  signal: AbortSignal,
  { database, clock, log, ...deps }: CollectDeps,
): Promise<void> {
  for (let round = 0; !signal.aborted; round += 1) {
    try {
      if (round % FORGET_EVERY === 0) await forgetOld(HELD_DAYS, database);
      for (const runId of await dueCollections(database))
        await collect(runId, { database, clock, log, ...deps });
    } catch (error) {
      log.warn("collections not looked after, will be tried again", { error });
    }
    await clock.sleep(SWEEP_MS, signal);
  }
}
