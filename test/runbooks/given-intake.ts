import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { admitDelivery, admitWaitingEpisode, type AdmitDeps } from "../../runbooks/admit.ts";
import { parseCatalog } from "../../runbooks/catalog/load.ts";
import { findWaitingEpisodes } from "../../runbooks/episode.ts";
import { storeDelivery, type Receipt } from "../../runbooks/store.ts";

export interface GivenAlert {
  readonly status?: "firing" | "resolved";
  readonly fingerprint?: string;
  readonly startsAt?: string;
  readonly endsAt?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

interface DeliveryOptions {
  readonly source?: string;
  readonly truncated?: number;
  readonly groupKey?: string;
}

/** The way in, without what comes after it: deliveries, episodes, and the runs that are opened. */
export interface GivenIntake {
  readonly deps: AdmitDeps;
  /** Stores a webhook. */
  readonly store: (alerts: readonly GivenAlert[], options?: DeliveryOptions) => Promise<Receipt>;
  /** Stores a webhook, and looks at it. */
  readonly deliver: (alerts: readonly GivenAlert[], options?: DeliveryOptions) => Promise<Receipt>;
  /** What the sweep does for alerts whose target has rested. */
  readonly admitWaiting: () => Promise<void>;
  readonly runs: () => Promise<readonly GivenRun[]>;
  /** Jobs that were sent: the test plays the job engine. */
  readonly jobs: { queue: string; data: object }[];
}

interface GivenRun {
  readonly id: string;
  readonly state: string;
  readonly target_key: string;
  readonly sources: readonly string[];
  readonly outcome: string | null;
}

const CATALOG = `runbooks:
  - { id: anomaly, title: t, match: { labels: { alertname: AIOpsAnomalyDetected } } }
  - { id: crashloop, title: t, match: { labels: { alertname: KubePodCrashLooping } }, trigger: crashloop }
  - { id: any, title: t, match: { metric: any } }
`;

/** Intake for a namespace of its own, on a test database that others use as well. */
export function givenIntake(
  database: Database,
  namespace: string,
  change: Partial<AdmitDeps> = {},
): GivenIntake {
  const jobs: GivenIntake["jobs"] = [];
  const deps: AdmitDeps = {
    database,
    log: silentLog,
    enqueueAll: async (_tx, queue, all) => {
      jobs.push(...all.map((data) => ({ queue, data })));
    },
    catalog: parseCatalog(CATALOG, "test"),
    cluster: "default",
    cooldownSeconds: 900,
    deadlineSeconds: 900,
    sourceNamespacesOf: () => null,
    ...change,
  };
  const store: GivenIntake["store"] = async (alerts, options = {}) => {
    const frame = frameOf(alerts, namespace, options);
    const raw = Buffer.from(JSON.stringify(frame));
    const { source = "alertmanager" } = options;
    return storeDelivery({ source, raw, frame }, database, async (_tx, queue, data) => {
      jobs.push({ queue, data });
    });
  };
  return {
    deps,
    jobs,
    store,
    deliver: async (alerts, options) => {
      const receipt = await store(alerts, options);
      await admitDelivery(receipt.id, deps);
      return receipt;
    },
    admitWaiting: async () => {
      for (const id of await findWaitingEpisodes(database)) await admitWaitingEpisode(id, deps);
    },
    runs: async () =>
      (
        await database.query<GivenRun>(
          "SELECT id, state, target_key, sources, outcome FROM runs WHERE namespace = $1 ORDER BY target_key, created_at",
          [namespace],
        )
      ).rows,
  };
}

function frameOf(
  alerts: readonly GivenAlert[],
  namespace: string,
  { truncated = 0, groupKey = `{}:{namespace="${namespace}"}` }: DeliveryOptions,
) {
  return {
    version: "4" as const,
    receiver: "fettle",
    status: "firing" as const,
    groupKey,
    truncatedAlerts: truncated,
    externalURL: "",
    alerts: alerts.map((alert) => ({
      status: alert.status ?? ("firing" as const),
      labels: { alertname: "AIOpsAnomalyDetected", namespace, app: "checkout", ...alert.labels },
      annotations: {},
      startsAt: alert.startsAt ?? "2026-11-21T03:00:00Z",
      endsAt: alert.endsAt ?? "0001-01-01T00:00:00Z",
      generatorURL: "",
      fingerprint: alert.fingerprint ?? `${namespace}-1`,
    })),
  };
}

/** Events of the audit trail about runs of a namespace, in their order, or about no run when undefined. */
export async function eventsOf(
  database: Database,
  namespace: string,
): Promise<readonly { event: string; detail: Record<string, unknown> }[]> {
  return (
    await database.query<{ event: string; detail: Record<string, unknown> }>(
      `SELECT event, detail FROM runbooks_audit
        WHERE namespace = $1 OR (run_id IS NULL AND detail->'labels'->>'namespace' = $1) ORDER BY id`,
      [namespace],
    )
  ).rows;
}
