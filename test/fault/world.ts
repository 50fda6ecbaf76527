import { freePort } from "../../lib/free-port.ts";
import { silentLog } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { linkToken } from "../../runbooks/approval/links.ts";
import { attemptDelivery, deliverUntilAccepted } from "../fakes/alertmanager-sender.ts";
import { startFettle, type FettleProcess } from "../fakes/fettle.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";
import { createTestDatabase } from "../servers/postgres.ts";

/** Values that must stand nowhere in what a service prints. */
const CANARIES = {
  token: "canary-webhook-token-5f2c",
  approvalSecret: "canary-approval-secret-0123456789abcdef",
  databasePassword: "canary-database-password",
  clusterToken: "canary-cluster-token",
} as const;

const APP = "checkout";
const APPROVERS: readonly string[] = ["ana"];
const LIMITS = { hourly: 3, daily: 10 } as const;

/** All that one run needs, on servers of its own: a database, a cluster, and a runbooks service that comes back. */
export interface World {
  readonly env: Readonly<Record<string, string>>;
  readonly database: Database;
  readonly kubernetes: Kubernetes;
  readonly service: SupervisedService;
  readonly output: () => string;
  readonly approvers: readonly string[];
  readonly limits: typeof LIMITS;
  /** Delivers as Alertmanager does, until it is accepted. */
  readonly deliver: (status: "firing" | "resolved") => Promise<void>;
  /** Presses "Approve" on the page, again if no page comes back. Returns the last answer's status. */
  readonly approveOnPage: () => Promise<number>;
  readonly runState: () => Promise<string | undefined>;
  readonly stop: () => Promise<void>;
}

/** @param failpoint where the service's first process kills itself; none when undefined */
export async function givenWorld(
  failpoint?: string,
  more: Readonly<Record<string, string>> = {},
): Promise<World> {
  const testDatabase = await createTestDatabase();
  const database = openDatabase(
    { url: testDatabase.url, applicationName: "fault", max: 2 },
    silentLog,
  );
  const kubernetes = await startKubernetes({
    token: CANARIES.clusterToken,
    deployments: [{ namespace: "shop", name: APP, replicas: 3 }],
  });
  const kubeconfig = await writeKubeconfig(kubernetes);
  const databaseUrl = Object.assign(new URL(testDatabase.url), {
    password: CANARIES.databasePassword, // the server trusts anybody, and ignores it
  }).href;
  const env = { ...environment(databaseUrl, kubeconfig.path), ...more };
  const service = await superviseService(env, failpoint);
  return {
    env,
    database,
    kubernetes,
    service,
    output: service.output,
    approvers: APPROVERS,
    limits: LIMITS,
    deliver: async (status) => {
      const headers = { authorization: `Bearer ${CANARIES.token}` };
      await deliverUntilAccepted(async () =>
        attemptDelivery(`${service.url}/alertmanager`, frameOf(status), headers),
      );
    },
    approveOnPage: async () => pressApprove(database, service.url),
    runState: async () =>
      (await database.query<{ state: string }>("SELECT state FROM runs")).rows[0]?.state,
    stop: async () => {
      await service.stop();
      await kubernetes.stop();
      await kubeconfig.remove();
      await database.close();
      await testDatabase.drop();
    },
  };
}

async function pressApprove(database: Database, url: string): Promise<number> {
  const { rows } = await database.query<{ id: string }>("SELECT id FROM runs");
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

export function canariesIn(text: string): readonly string[] {
  return Object.values(CANARIES).filter((canary) => text.includes(canary));
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
function frameOf(status: "firing" | "resolved"): string {
  const alert = {
    status,
    labels: {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      reason: "level_shift",
      namespace: "shop",
      app: APP,
    },
    annotations: { summary: "p99 latency is 0.9 s, usually 0.3 s" },
    startsAt: "2026-11-21T03:00:00Z",
    endsAt: status === "firing" ? "0001-01-01T00:00:00Z" : "2026-11-21T03:10:00Z",
    generatorURL: "",
    fingerprint: "26a13378e6d21d87",
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

/** A service whose process is started again when it dies, as Kubernetes does; without the failpoint the second time. */
interface SupervisedService {
  readonly url: string;
  /** When its process was killed (by a signal), in the order of time. */
  readonly deaths: readonly Date[];
  /** Everything that all of its processes have printed. */
  readonly output: () => string;
  /** An orderly stop and a new start, as in a rolling update. Does `meanwhile` while no process runs. */
  readonly restart: (meanwhile?: () => Promise<void>) => Promise<void>;
  readonly stop: () => Promise<void>;
}

async function superviseService(
  env: Readonly<Record<string, string>>,
  failpoint?: string,
): Promise<SupervisedService> {
  const port = await freePort();
  const deaths: Date[] = [];
  const processes: FettleProcess[] = [];
  let stopping = false;
  const launch = async (more: Readonly<Record<string, string>> = {}) => {
    const started = await startFettle("runbooks", "RUNBOOKS_PORT", { ...env, ...more }, port);
    processes.push(started);
    void started.exited.then((code) => {
      if (code !== null) return; // it ended because it was told to
      deaths.push(new Date());
      if (!stopping) launching = launch();
    });
  };
  let launching = launch(failpoint === undefined ? {} : { FETTLE_FAILPOINT: failpoint });
  await launching;
  return {
    url: `http://127.0.0.1:${port}`,
    deaths,
    output: () => processes.map(({ output }) => output()).join(""),
    restart: async (meanwhile) => {
      await processes.at(-1)?.stop();
      await meanwhile?.();
      launching = launch();
      await launching;
    },
    stop: async () => {
      stopping = true;
      await launching;
      await processes.at(-1)?.stop();
    },
  };
}
