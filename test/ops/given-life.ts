import pg from "pg";
import { readDefaultModel } from "../../detector/default-model.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes } from "../fakes/kubernetes.ts";
import { frameOf } from "../runbooks/given-processes.ts";
import { startReceiver } from "./given-receiver.ts";

const WEBHOOK_TOKEN = "dashboards-webhook-token-0123456789";
const REPORT_TOKEN = "dashboards-report-token-0123456789ab";
const EVERY_MS = 1_000;

/** What goes on around the services, so that each panel has something to show. */
export interface Life {
  /** For the services. */
  readonly env: Readonly<Record<string, string>>;
  /** Lets it go on until `stop`: alerts come, strangers are turned away, drills are reported, sessions wait for each other. */
  readonly begin: (urls: { readonly runbooks: string; readonly hypervisor: string }) => void;
  readonly stop: () => Promise<void>;
}

/** A cluster, a channel for messages, and rows of what happens too seldom for a test. */
export async function givenLife(databaseUrl: string): Promise<Life> {
  const kubernetes = await startKubernetes({
    deployments: [{ namespace: "shop", name: "web", replicas: 2 }],
  });
  const kubeconfig = await writeKubeconfig(kubernetes);
  const channel = await startReceiver();
  const queue = await givenQueue(databaseUrl);
  await givenModel(queue.holder);
  let timer: NodeJS.Timeout | undefined;
  let rounds = 0;
  return {
    env: {
      KUBECONFIG: kubeconfig.path,
      RUNBOOK_WEBHOOK_TOKEN: WEBHOOK_TOKEN,
      RUNBOOK_AUTOFIX_ENABLED: "true",
      RUNBOOK_POLICY_CONFIGMAP: "none",
      RUNBOOKS_FILE: "test/fixtures/runbooks-without-collecting.yaml",
      RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=rollout_restart",
      RUNBOOK_APPROVERS: "ana",
      RUNBOOK_APPROVAL_SECRET: "dashboards-approval-secret-0123456789abcdef",
      RUNBOOKS_INTERNAL_HOSTS: "127.0.0.1",
      RUNBOOKS_SLACK_WEBHOOK: `${channel.url}/slack`,
      HYPERVISOR_API_TOKEN: REPORT_TOKEN,
    },
    begin: ({ runbooks, hypervisor }) => {
      timer = setInterval(() => {
        rounds += 1;
        const alerts = { method: "POST", body: frameOf(`g${rounds}`, 1, { app: "web" }) };
        const json = { "content-type": "application/json" };
        for (const [address, request] of [
          [
            `${runbooks}/alertmanager`,
            { ...alerts, headers: { ...json, ...bearer(WEBHOOK_TOKEN) } },
          ],
          [
            `${runbooks}/alertmanager`,
            { ...alerts, headers: { ...json, ...bearer("a stranger's") } },
          ],
          [`${hypervisor}/api/v1/containers`, {}],
          [
            `${hypervisor}/metrics/drill-success`,
            { method: "POST", body: "{}", headers: { ...json, ...bearer(REPORT_TOKEN) } },
          ],
        ] as const)
          fetch(address, request).catch(() => undefined); // the panels tell whether it came
      }, EVERY_MS);
    },
    stop: async () => {
      clearInterval(timer);
      await queue.stop();
      await channel.stop();
      await kubernetes.stop();
      await kubeconfig.remove();
    },
  };
}

function bearer(token: string) {
  return { authorization: `Bearer ${token}` };
}

/** Two sessions, one of which waits for the other. */
async function givenQueue(databaseUrl: string) {
  const [holder, waiter] = [0, 1].map(() => new pg.Client({ connectionString: databaseUrl }));
  if (holder === undefined || waiter === undefined) throw new Error("no sessions");
  await holder.connect();
  await waiter.connect();
  await holder.query("SELECT pg_advisory_lock(29)");
  const waiting = waiter.query("SELECT pg_advisory_lock(29)");
  return {
    holder,
    stop: async () => {
      await holder.end();
      await waiting;
      await waiter.end();
    },
  };
}

/** The shipped model as one that was trained here today. */
async function givenModel(client: pg.Client): Promise<void> {
  const { schemaVersion, sha256, seed, trees, parameters } = await readDefaultModel();
  await client.query(
    `INSERT INTO aiops_models (schema_version, sha256, seed, trained_at, trees, parameters)
     VALUES ($1, $2, $3, now() - interval '1 hour', $4, $5)`,
    [schemaVersion, sha256, seed, trees, JSON.stringify(parameters)],
  );
}
