import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { actionNames, actions } from "../../runbooks/actions/index.ts";
import { admitDelivery, admitWaitingEpisode } from "../../runbooks/admit.ts";
import { openApprovals } from "../../runbooks/approval/request.ts";
import type { Switches } from "../../runbooks/decide.ts";
import { findWaitingEpisodes } from "../../runbooks/episode.ts";
import { answerRun } from "../../runbooks/operations.ts";
import { parseCatalog } from "../../runbooks/catalog/load.ts";
import { openFacts } from "../../runbooks/facts.ts";
import { openGuard } from "../../runbooks/guard.ts";
import { openVerifier } from "../../runbooks/open-verifier.ts";
import { fixedPolicy } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import { advanceRun } from "../../runbooks/run.ts";
import type { RunDeps } from "../../runbooks/steps/step.ts";
import { storeDelivery, type Receipt } from "../../runbooks/store.ts";
import type { BreakerView } from "../../runbooks/types/breaker.ts";
import { fakeCluster, type FakeCluster } from "../fakes/cluster.ts";

interface GivenAlert {
  readonly status?: "firing" | "resolved";
  readonly fingerprint?: string;
  readonly startsAt?: string;
  readonly endsAt?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const LABELS = {
  alertname: "AIOpsAnomalyDetected",
  metric: "latency_p99",
  reason: "level_shift",
  namespace: "shop",
};

/** What a test changes; facts, guard and approvals are made anew from it unless they are given. */
export type GivenChange = Partial<RunDeps> & { readonly breakerView?: BreakerView };

export interface Given {
  readonly deps: RunDeps;
  readonly cluster: FakeCluster;
  /** Delivers one webhook, and looks at it. */
  readonly deliver: (
    alerts: readonly GivenAlert[],
    options?: { source?: string; truncated?: number },
  ) => Promise<Receipt>;
  /** What the sweep does for alerts whose target has rested. */
  readonly admitWaiting: () => Promise<void>;
  readonly advance: (runId: string, change?: GivenChange) => Promise<void>;
  readonly answer: (
    runId: string,
    verdict: "approved" | "rejected",
    by?: string,
  ) => ReturnType<typeof answerRun>;
  readonly runs: () => Promise<readonly { id: string; state: string; outcome: string | null }[]>;
  readonly events: (runId: string) => Promise<readonly string[]>;
  /** Jobs that were sent: the test plays the job engine. */
  readonly jobs: { queue: string; data: object }[];
}

/** A service's worth of runbooks on a test database, for an app of its own, with a cluster that remembers what was done. */
export function given(database: Database, app: string, change: GivenChange = {}): Given {
  const cluster = fakeCluster();
  const jobs: Given["jobs"] = [];
  const enqueue: RunDeps["enqueue"] = async (_tx, queue, data) => {
    jobs.push({ queue, data });
  };
  const deps = depsOf({ database, enqueue, cluster, ...change });
  const catalog = parseCatalog(
    "runbooks: [{ id: anomaly, title: t, match: { labels: { alertname: AIOpsAnomalyDetected } } }]",
    "test",
  );
  const admitDeps = {
    database,
    log: silentLog,
    enqueueAll: async (_tx: unknown, queue: string, all: readonly object[]) => {
      jobs.push(...all.map((data) => ({ queue, data })));
    },
    sourceNamespacesOf: () => null,
    catalog,
    cluster: "default",
    cooldownSeconds: 900,
    deadlineSeconds: 900,
  };
  return {
    deps,
    cluster,
    admitWaiting: async () => {
      for (const id of await findWaitingEpisodes(database))
        await admitWaitingEpisode(id, admitDeps);
    },
    jobs,
    deliver: async (alerts, { source = "detector", truncated = 0 } = {}) => {
      const frame = {
        version: "4" as const,
        receiver: "fettle",
        status: "firing" as const,
        groupKey: "{}",
        truncatedAlerts: truncated,
        externalURL: "",
        alerts: alerts.map((alert) => ({
          status: alert.status ?? ("firing" as const),
          labels: { ...LABELS, app, ...alert.labels },
          annotations: {},
          startsAt: alert.startsAt ?? "2026-11-21T03:00:00Z",
          endsAt: alert.endsAt ?? "0001-01-01T00:00:00Z",
          generatorURL: "",
          fingerprint: alert.fingerprint ?? `${app}-1`,
        })),
      };
      const receipt = await storeDelivery(
        { source, raw: Buffer.from(JSON.stringify(frame)), frame },
        database,
        enqueue,
      );
      await admitDelivery(receipt.id, admitDeps);
      return receipt;
    },
    advance: async (runId, more = {}) =>
      advanceRun(runId, depsOf({ database, enqueue, cluster, ...change, ...more })),
    answer: async (runId, verdict, by = "ana") =>
      answerRun({ runId, verdict, by, via: "cli", reason: undefined }, deps.switches.approvers, {
        database,
        enqueue,
      }),
    runs: async () =>
      (
        await database.query<{ id: string; state: string; outcome: string | null }>(
          "SELECT id, state, outcome FROM runs WHERE app = $1 ORDER BY created_at",
          [app],
        )
      ).rows,
    events: async (runId) =>
      (
        await database.query<{ event: string }>(
          "SELECT event FROM runbooks_audit WHERE run_id = $1 ORDER BY id",
          [runId],
        )
      ).rows.map(({ event }) => event),
  };
}

type Own = Pick<RunDeps, "database" | "enqueue" | "cluster">;

const SWITCHES: Switches = {
  enabled: true,
  dryRun: false,
  requireApproval: true,
  approvers: ["ana", "ivan"],
  limits: { hourly: 3, daily: 10 },
  unhealthy: { percent: 100, recentTargets: 1_000 }, // tests of one file share a database
};

/** Tests of one file share a namespace, and none of them is to see the others' alerts. */
const LARGE_NAMESPACE = { countWorkloads: async () => 1_000 };

function depsOf({ breakerView: view, ...change }: Own & GivenChange): RunDeps {
  const { database, switches = SWITCHES } = change;
  const text = "latency_p99:level_shift=rollout_restart";
  const { policy = fixedPolicy(parsePolicy(text, actionNames)) } = change;
  const { guard = openGuard({ database, limits: switches.limits, view }) } = change;
  return {
    policy,
    switches,
    guard,
    facts: openFacts({ database, policy, guard, switches, census: LARGE_NAMESPACE }),
    approvals: openApprovals({ database, approvers: switches.approvers }),
    collector: { begin: async () => false, settled: async () => true },
    verifier: openVerifier({ queries: new Map(), source: undefined }),
    actions,
    approvalSeconds: 60,
    verifySeconds: 60,
    verifyHoldSeconds: 180,
    leaseSeconds: 30,
    owner: "worker-1",
    codeVersion: "test",
    log: silentLog,
    moved: () => undefined,
    ...change,
  };
}

/** One run that waits for its approval. */
export async function waitingRun(setup: Given): Promise<string> {
  await setup.deliver([{}]);
  const [run] = await setup.runs();
  const id = run?.id ?? "";
  await setup.advance(id);
  return id;
}

export async function stateOf(setup: Given): Promise<string | undefined> {
  return (await setup.runs()).at(-1)?.state;
}

/** Breaker slots that the app's runs have taken. */
export async function slotsOf(app: string, database: Database): Promise<number> {
  const key = `default/shop/deployment/${app}`;
  return (await database.query("SELECT 1 FROM breaker_slots WHERE app_key = $1", [key])).rowCount;
}
