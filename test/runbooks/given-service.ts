import type { Database } from "../../lib/postgres.ts";
import { readRunbooksConfig, startRunbooks } from "../../runbooks/main.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";
import { recordingLog, type RecordingLog } from "../fakes/recording-log.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { createTestDatabase, openTestDatabase } from "../servers/postgres.ts";

export const TOKEN = "awh_service-test-token";
export const HMAC_KEY = "service-test-signature-key";
export const APPROVAL_SECRET = "service-test-approval-secret-0123456789";
/** The Deployments that are there to be restarted; a test that needs a run of its own takes another one. */
const APP = "checkout";
const MORE_APPS = Array.from({ length: 20 }, (_, at) => `app-${at + 1}`);

export interface GivenService {
  readonly url: string;
  readonly database: Database;
  readonly kubernetes: Kubernetes;
  readonly log: RecordingLog;
  /** Between the service and its database. */
  readonly databaseProxy: TcpProxy;
  readonly stop: () => Promise<void>;
}

/** The whole runbooks service in this process, on a database and a cluster of its own. */
export async function givenService(
  more: Readonly<Record<string, string>> = {},
): Promise<GivenService> {
  const testDatabase = await createTestDatabase();
  const database = openTestDatabase(testDatabase.url);
  const direct = new URL(testDatabase.url);
  const databaseProxy = await startTcpProxy({ host: direct.hostname, port: Number(direct.port) });
  const kubernetes = await startKubernetes({
    deployments: [APP, ...MORE_APPS].map((name) => ({ namespace: "shop", name, replicas: 3 })),
  });
  const kubeconfig = await writeKubeconfig(kubernetes);
  const log = recordingLog();
  const throughProxy = Object.assign(new URL(direct), { port: String(databaseProxy.port) });
  const config = readRunbooksConfig({
    AIOPS_DATABASE_URL: throughProxy.href,
    RUNBOOKS_PORT: "0",
    RUNBOOK_WEBHOOK_TOKEN: TOKEN,
    AIOPS_WEBHOOK_SECRET: HMAC_KEY,
    RUNBOOK_AUTOFIX_ENABLED: "true",
    RUNBOOK_AUTOFIX_DRY_RUN: "false",
    RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=rollout_restart",
    RUNBOOK_APPROVERS: "ana,ivan",
    RUNBOOK_APPROVAL_SECRET: APPROVAL_SECRET,
    RUNBOOK_MAX_UNHEALTHY_TARGETS: "1000", // many tests, one database
    RUNBOOK_MAX_UNHEALTHY_PERCENT: "100",
    KUBECONFIG: kubeconfig.path,
    ...more,
  });
  const service = await startRunbooks(config, log);
  return {
    url: service.url ?? "",
    database,
    kubernetes,
    log,
    databaseProxy,
    stop: async () => {
      await service.stop();
      await databaseProxy.stop();
      await kubernetes.stop();
      await kubeconfig.remove();
      await database.close();
      await testDatabase.drop();
    },
  };
}

export interface GivenFrame {
  readonly app?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

let frames = 0;

/** An Alertmanager notification of one firing alert; each call gives other bytes. */
export function frame({ app = APP, labels = {}, annotations = {} }: GivenFrame = {}): string {
  frames += 1;
  const alert = {
    status: "firing",
    labels: {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      reason: "level_shift",
      namespace: "shop",
      app,
      ...labels,
    },
    annotations,
    startsAt: "2026-11-21T03:00:00Z",
    fingerprint: `frame-${frames}`,
  };
  return JSON.stringify({ version: "4", receiver: "fettle", status: "firing", alerts: [alert] });
}

/** Posts to the webhook with the right token, unless `headers` say otherwise. */
export async function post(
  { url }: Pick<GivenService, "url">,
  body: string | Buffer | undefined,
  headers: Readonly<Record<string, string>> = { authorization: `Bearer ${TOKEN}` },
  { path = "/alertmanager", method = "POST" } = {},
): Promise<Response> {
  const send = async (): Promise<Response> =>
    fetch(`${url}${path}`, {
      method,
      body: body === undefined ? null : new Uint8Array(Buffer.from(body)),
      headers: { "content-type": "application/json", ...headers },
      redirect: "manual",
    });
  // A busy machine holds up the event loop of tests and service alike; a sender repeats what was refused for that.
  for (let tries = 0; tries < 20; tries += 1) {
    const answer = await send();
    if (answer.status !== 503 || !(await answer.clone().text()).includes("overloaded"))
      return answer;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return send();
}
