import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Queryable } from "../lib/postgres.ts";
import { DEEDS, type Claim, type Outcome } from "./operations/types.ts";

/** Told by the runner of this process. */
export interface OperationMetrics {
  readonly begun: (claim: Claim) => void;
  readonly ended: (claim: Claim, outcome: Outcome) => void;
}

/** A copy takes minutes, a restart seconds. */
const BUCKETS_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800];
/** So that a stranger's scrapes do not become the database's. */
const FRESH_MS = 1_000;
const PREFIX = "arm_hypervisor_";

/** Operations by kind (`ContainerCreated`, as in the record): what this process does, and what all have not ended. */
export function createOperationMetrics(registry: Registry, database: Queryable): OperationMetrics {
  const registers = [registry];
  const started = new Counter({
    name: `${PREFIX}operations_started_total`,
    help: "Operations that were begun here for the first time",
    labelNames: ["kind"],
    registers,
  });
  const ended = new Counter({
    name: `${PREFIX}operations_ended_total`,
    help: "Operations that ended here, by result: completed or failed",
    labelNames: ["kind", "result"],
    registers,
  });
  const duration = new Histogram({
    name: `${PREFIX}operation_duration_seconds`,
    help: "From the first beginning of an operation to its end, interruptions included",
    labelNames: ["kind"],
    buckets: BUCKETS_SECONDS,
    registers,
  });
  for (const { action: kind } of Object.values(DEEDS)) {
    started.inc({ kind }, 0);
    for (const result of ["completed", "failed"]) ended.inc({ kind, result }, 0);
  }
  const look = sharedLook(database);
  const unfinished = new Gauge({
    name: `${PREFIX}operations_unfinished`,
    help: "Operations that have not ended, of all replicas: pending or in_progress; absent while the database does not answer",
    labelNames: ["kind", "status"],
    registers,
    collect: async () => {
      const rows = await look();
      unfinished.reset();
      for (const { kind, status, count } of rows) unfinished.set({ kind, status }, count);
    },
  });
  return {
    begun: ({ kind }) => {
      started.inc({ kind });
    },
    ended: ({ kind, startedAt }, outcome) => {
      ended.inc({ kind, result: outcome.kind });
      duration.observe({ kind }, Math.max(0, (Date.now() - startedAt.getTime()) / 1000));
    },
  };
}

interface Unfinished {
  readonly kind: string;
  readonly status: string;
  readonly count: number;
}

function sharedLook(database: Queryable): () => Promise<readonly Unfinished[]> {
  let last: { readonly atMs: number; readonly rows: Promise<readonly Unfinished[]> } | undefined;
  return async () => {
    const now = performance.now();
    if (last === undefined || now - last.atMs > FRESH_MS)
      last = { atMs: now, rows: find(database).catch(() => []) };
    return last.rows;
  };
}

async function find(database: Queryable): Promise<readonly Unfinished[]> {
  const { rows } = await database.query<Unfinished>(
    `SELECT kind, status, count(*)::float8 AS count FROM hypervisor_operations
      WHERE status IN ('pending', 'in_progress') GROUP BY kind, status`,
  );
  return rows;
}
