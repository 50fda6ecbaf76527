import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { linkToken } from "../../runbooks/approval/links.ts";
import { attemptDelivery, deliverUntilAccepted } from "../fakes/alertmanager-sender.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";
import { createTestDatabase } from "../servers/postgres.ts";
import { CANARIES } from "./canaries.ts";

export const APP = "checkout";
const APPROVERS: readonly string[] = ["ana"];
const LIMITS = { hourly: 3, daily: 10 } as const;

/** What a runbooks service lives among: a database and a cluster of its own, and those who send and approve. */
export interface Surroundings {
  /** For a service's process. */
  readonly env: Readonly<Record<string, string>>;
  readonly database: Database;
  readonly kubernetes: Kubernetes;
  readonly approvers: readonly string[];
  readonly limits: typeof LIMITS;
  /** Delivers as Alertmanager does, until it is accepted. */
  readonly deliver: (url: string, status: "firing" | "resolved", app?: string) => Promise<void>;
  /** Presses "Approve" on the page, again if no page comes back. Returns the last answer's status. */
  readonly approve: (url: string, app?: string) => Promise<number>;
  /** Of the app's newest run. */
  readonly stateOf: (app?: string) => Promise<string | undefined>;
  readonly stop: () => Promise<void>;
}

/** @param databaseUrl a migrated database; one of its own unless given */
export async function givenSurroundings({
  apps = [APP],
  databaseUrl,
}: {
  readonly apps?: readonly string[];
  readonly databaseUrl?: string;
} = {}): Promise<Surroundings> {
  const own = databaseUrl === undefined ? await createTestDatabase() : undefined;
  const url = databaseUrl ?? own?.url ?? "";
  const looks = { max: 2, statementTimeoutMs: 30_000 }; // at ten thousand alerts, on a machine that has other work
  const database = openDatabase({ url, applicationName: "fault", ...looks }, silentLog);
  const kubernetes = await startKubernetes({
    token: CANARIES.clusterToken,
    deployments: apps.map((name) => ({ namespace: "shop", name, replicas: 3 })),
  });
  const kubeconfig = await writeKubeconfig(kubernetes);
  const withPassword = Object.assign(new URL(url), {
    password: CANARIES.databasePassword, // the server trusts anybody, and ignores it
  });
  const stateOf = async (app = APP) =>
    (
      await database.query<{ state: string }>(
        "SELECT state FROM runs WHERE app = $1 ORDER BY created_at DESC LIMIT 1",
        [app],
      )
    ).rows[0]?.state;
  return {
    env: environment(withPassword.href, kubeconfig.path),
    database,
    kubernetes,
    approvers: APPROVERS,
    limits: LIMITS,
    deliver: async (to, status, app = APP) => {
      const headers = { authorization: `Bearer ${CANARIES.token}` };
      await deliverUntilAccepted(async () =>
        attemptDelivery(`${to}/alertmanager`, frameOf(status, app), headers),
      );
    },
    approve: async (to, app = APP) => pressApprove(database, to, app),
    stateOf,
    stop: async () => {
      await kubernetes.stop();
      await kubeconfig.remove();
      await database.close();
      await own?.drop();
    },
  };
}

async function pressApprove(database: Database, url: string, app: string): Promise<number> {
  const { rows } = await database.query<{ id: string }>(
    "SELECT id FROM runs WHERE app = $1 ORDER BY created_at DESC LIMIT 1",
    [app],
  );
  const [approver = ""] = APPROVERS;
  const approval = await findApproval(rows[0]?.id ?? "", database);
  if (approval === undefined) throw new Error("nobody is asked for anything");
  const token = linkToken(approval, approver, new Secret(CANARIES.approvalSecret));
  const form = new URLSearchParams({ id: approval.id, token }).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const attempts = await deliverUntilAccepted(async () =>
    attemptDelivery(`${url}/approve`, form, headers),
  );
  return attempts.at(-1)?.status ?? 0;
}

function environment(databaseUrl: string, kubeconfig: string): Record<string, string> {
  return {
    AIOPS_DATABASE_URL: databaseUrl,
    RUNBOOK_WEBHOOK_TOKEN: CANARIES.token,
    RUNBOOK_AUTOFIX_ENABLED: "true",
    RUNBOOK_AUTOFIX_DRY_RUN: "false",
    RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=rollout_restart",
    RUNBOOK_APPROVERS: APPROVERS.join(","),
    RUNBOOK_APPROVAL_SECRET: CANARIES.approvalSecret,
    RUNBOOK_CIRCUIT_MAX_HOURLY: String(LIMITS.hourly),
    RUNBOOK_CIRCUIT_MAX_DAILY: String(LIMITS.daily),
    RUNBOOK_LEASE_SECONDS: "2",
    KUBECONFIG: kubeconfig,
  };
}

/** The same bytes each time, as Alertmanager repeats a notification. */
function frameOf(status: "firing" | "resolved", app: string): string {
  const alert = {
    status,
    labels: {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      reason: "level_shift",
      namespace: "shop",
      app,
    },
    annotations: { summary: "p99 latency is 0.9 s, usually 0.3 s" },
    startsAt: "2026-11-21T03:00:00Z",
    endsAt: status === "firing" ? "0001-01-01T00:00:00Z" : "2026-11-21T03:10:00Z",
    generatorURL: "",
    fingerprint: app === APP ? "26a13378e6d21d87" : `fp-${app}`,
  };
  return JSON.stringify({
    version: "4",
    receiver: "fettle",
    status,
    groupKey: "{}",
    truncatedAlerts: 0,
    externalURL: "",
    alerts: [alert],
  });
}
