import { systemClock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { openDatabase, type Database } from "../lib/postgres.ts";
import { HttpProblem } from "../lib/problem.ts";
import type { AlertHistory, SimulatedWorld } from "./backtest/types.ts";
import { CatalogError, loadCatalog } from "./catalog/load.ts";
import type { RunbooksConfig } from "./config.ts";
import type { Switches } from "./decide.ts";
import { openFacts } from "./facts.ts";
import { openGuard } from "./guard.ts";
import { openAccess } from "./pages/access.ts";
import { openRunWatch } from "./pages/run-watch.ts";
import type { Pages } from "./pages/types.ts";
import { storedPolicySource } from "./policy/in-force.ts";
import type { UserGroups } from "./types/approval.ts";
import type { Enqueue, Runbook } from "./types/intake.ts";

/** However many people look at once: the others wait, and alerts have connections of their own. */
const CONNECTIONS_MAX = 3;

interface PageParts {
  readonly log: Log;
  readonly enqueue: Enqueue;
  readonly groups: UserGroups | undefined;
  readonly switches: Switches;
  readonly catalogPath: string;
  /** The alerts that a database keeps. */
  readonly history: (database: Database) => AlertHistory;
}

/** What a backtest takes as given about people and the cluster. */
const APPROVAL_DELAY_SECONDS = 300;
const ACTION_DELAY_SECONDS = 30;

/** What the pages need. They read the database, and know no cluster. */
export function openPages(config: RunbooksConfig, parts: PageParts, stack: StopStack): Pages {
  const { apiToken: token, host, databaseUrl, policy: policyText, cluster } = config;
  const { log, enqueue, groups, switches, catalogPath } = parts;
  const catalog = async () => catalogAt(catalogPath);
  const database = openDatabase(
    {
      url: databaseUrl.reveal(),
      applicationName: "fettle-runbooks-pages",
      max: CONNECTIONS_MAX,
    },
    log,
  );
  stack.add("pages' database", async () => database.close());
  const clock = systemClock;
  const watch = openRunWatch({ database, clock, log });
  return {
    access: openAccess({ token, host, clock }),
    clock,
    log,
    database,
    watch,
    enqueue,
    groups,
    switches,
    redis: config.redisUrl !== undefined,
    cluster,
    policyText,
    facts: openFacts({
      database,
      policy: storedPolicySource(database, policyText),
      guard: openGuard({ database, limits: switches.limits, view: undefined }),
      switches,
      namespaces: config.namespaces,
    }),
    catalog,
    history: parts.history(database),
    world: async () => ({ ...worldOf(config, switches), catalog: await catalog() }),
  };
}

/** @throws HttpProblem with every problem: an executor goes on with the one that it has read before */
async function catalogAt(path: string): Promise<readonly Runbook[]> {
  try {
    return await loadCatalog(path);
  } catch (error) {
    if (!(error instanceof CatalogError)) throw error;
    throw new HttpProblem(503, "The catalogue cannot be read", error.problems.join("; "));
  }
}

/** A policy is asked what it would do if it were let: with the switches on, and with somebody to ask. */
function worldOf(
  config: RunbooksConfig,
  { requireApproval, approvers, limits, unhealthy }: Switches,
): Omit<SimulatedWorld, "catalog"> {
  return {
    cluster: config.cluster,
    sourceNamespacesOf: () => null,
    switches: {
      enabled: true,
      dryRun: false,
      requireApproval,
      approvers: approvers.length === 0 ? ["(nobody yet)"] : approvers,
      limits,
      ...(unhealthy === undefined ? {} : { unhealthy }),
    },
    scope: { namespaces: config.namespaces ?? null, sourceNamespaces: null },
    cooldownSeconds: config.cooldownSeconds,
    approvalSeconds: config.approvalSeconds,
    verifySeconds: config.verifySeconds,
    approvalDelaySeconds: APPROVAL_DELAY_SECONDS,
    actionDelaySeconds: ACTION_DELAY_SECONDS,
    workloads: null,
  };
}
