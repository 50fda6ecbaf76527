import type { Database, Queryable } from "../lib/postgres.ts";
import type { DecisionInput, HealthFacts, Switches } from "./decide.ts";
import { killedBy } from "./kill-switch.ts";
import { partFor } from "./policy/explain.ts";
import type { Guard } from "./types/breaker.ts";
import type { Census } from "./types/cluster.ts";
import type { PolicyReading, PolicySource } from "./types/policy.ts";
import type { Run } from "./types/run.ts";
import { appKeyOf, parseTargetKey, type Target } from "./types/target.ts";

/** What a decision about a run is made from. */
export interface Facts {
  gather(run: Run): Promise<DecisionInput>;
}

export interface FactDeps {
  readonly database: Database;
  readonly policy: PolicySource;
  readonly guard: Guard;
  readonly switches: Switches;
  /** Counts a namespace's workloads; without it nobody does. */
  readonly census?: Census | undefined;
  /** The namespaces that may be touched; all but Kubernetes' own when undefined. */
  readonly namespaces?: readonly string[] | undefined;
  /** The namespaces that a sender may speak for; null is all. */
  readonly sourceNamespacesOf?: ((source: string) => readonly string[] | null) | undefined;
}

/** With fewer sick targets the share is not looked at, so the cluster need not be asked. */
const COUNT_FROM_SICK = 3;

export function openFacts(deps: FactDeps): Facts {
  const { database, policy, guard, switches } = deps;
  return {
    gather: async (run) => {
      const target = parseTargetKey(run.targetKey, run.app);
      const known = await database.inTransaction(
        async (tx) => ({
          killed: await killedBy(run, tx),
          ...(await recentlyOf(run, tx)),
        }),
        { isolation: "repeatable read", readOnly: true },
      );
      return {
        alert: run.trigger,
        target,
        policy: readingFor(await policy.current(), target),
        breakers: await guard.read({ target: run.targetKey, app: appKeyOf(target) }),
        killed: known.killed,
        health: await counted(known.health, target, deps.census),
        lastActionAt: known.lastActionAt?.toISOString() ?? null,
        scope: {
          namespaces: deps.namespaces ?? null,
          // Those who joined later were asked when they joined.
          sourceNamespaces: deps.sourceNamespacesOf?.(run.trigger.source) ?? null,
        },
        switches: run.dryRun ? { ...switches, dryRun: true } : switches,
        now: run.now.toISOString(),
      };
    },
  };
}

/** The version stays the whole policy's. */
function readingFor(reading: PolicyReading, target: Target): PolicyReading {
  if (reading.kind === "unknown") return reading;
  return { kind: "known", document: partFor(reading.document, target) };
}

/** An alert that nobody has told of for a day is counted no longer: its end may have been lost. */
async function recentlyOf(run: Run, tx: Queryable) {
  const { rows } = await tx.query<{ last: Date | null; sick: number; recent: number }>(
    `SELECT (SELECT max(taken_at) FROM breaker_slots WHERE app_key = $1 AND run_id <> $2) AS last,
            (SELECT count(DISTINCT r.target_key)::int FROM runs r
              WHERE r.namespace = $3 AND r.created_at > now() - interval '1 day'
                AND (r.finished_at IS NULL
                     OR EXISTS (SELECT 1 FROM episodes e WHERE e.run_id = r.id AND e.resolved_at IS NULL
                                   AND e.last_seen_at > now() - interval '1 day'))) AS sick,
            (SELECT count(DISTINCT target_key)::int FROM runs
              WHERE created_at > now() - interval '10 minutes') AS recent`,
    [run.targetKey, run.id, run.namespace],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the facts returned no row");
  const health = { sick: row.sick, workloads: null, recentTargets: row.recent };
  return { lastActionAt: row.last, health };
}

/** The cluster knows nothing of the hypervisor's projects, also when a namespace is called the same. */
async function counted(
  health: HealthFacts,
  { kind, namespace }: Target,
  census: Census | undefined,
): Promise<HealthFacts> {
  if (census === undefined || kind === "container" || health.sick < COUNT_FROM_SICK) return health;
  return { ...health, workloads: (await census.countWorkloads(namespace)) ?? null };
}
