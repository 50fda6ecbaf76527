import type { Database } from "../../lib/postgres.ts";
import { actionNames } from "../../runbooks/actions/index.ts";
import { kubernetesCluster } from "../../runbooks/adapters/kubernetes/actions.ts";
import { connectKubernetes } from "../../runbooks/adapters/kubernetes/connect.ts";
import { fixedPolicy } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import type { Cluster } from "../../runbooks/types/cluster.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";
import { given, waitingRun, type Given } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase } from "../servers/postgres.ts";

const APPS = Array.from({ length: 20 }, (_, at) => `app-${at + 1}`);
const READ_ONLY_TOKEN = "viewer-token";
const TIMEOUT_MS = 20_000;

/** Whole runs, from the alert on, against the Kubernetes stand-in by the product's own client. */
export interface GivenRuns {
  readonly database: Database;
  readonly kubernetes: Kubernetes;
  /** The same cluster for an account that may only read. */
  readonly readOnly: Cluster;
  /** A run of an app of its own (3 pods), which waits for its approval. */
  readonly waiting: (rule?: string) => Promise<GivenRun>;
  /** The same, approved; nothing of it is done yet. */
  readonly approved: (rule?: string) => Promise<GivenRun>;
  readonly stop: () => Promise<void>;
}

export interface GivenRun {
  readonly id: string;
  readonly app: string;
  readonly setup: Given;
}

export async function givenRuns(): Promise<GivenRuns> {
  const testDatabase = await createTestDatabase();
  const database = openTestDatabase(testDatabase.url);
  const kubernetes = await startKubernetes({
    readOnlyToken: READ_ONLY_TOKEN,
    readyAfterMs: 20,
    deployments: APPS.map((name) => ({ namespace: "shop", name, replicas: 3 })),
  });
  const own = await writeKubeconfig(kubernetes);
  const viewer = await writeKubeconfig({ url: kubernetes.url, token: READ_ONLY_TOKEN });
  const clusterOf = (path: string) =>
    kubernetesCluster(connectKubernetes(path, { timeoutMs: TIMEOUT_MS }));
  let used = 0;
  const waiting = async (rule = "rollout_restart"): Promise<GivenRun> => {
    const app = APPS[used++] ?? "";
    const policy = fixedPolicy(parsePolicy(`latency_p99:level_shift=${rule}`, actionNames));
    const setup = given(database, app, { policy, cluster: clusterOf(own.path) });
    return { id: await waitingRun(setup), app, setup };
  };
  return {
    database,
    kubernetes,
    readOnly: clusterOf(viewer.path),
    waiting,
    approved: async (rule) => {
      const run = await waiting(rule);
      await run.setup.answer(run.id, "approved");
      return run;
    },
    stop: async () => {
      await own.remove();
      await viewer.remove();
      await kubernetes.stop();
      await database.close();
      await testDatabase.drop();
    },
  };
}

/** What was asked of the cluster about an app since the mark, as `VERB path`, dry runs included. */
export function callsOn(
  { requests }: Kubernetes,
  app: string,
  methods = ["PATCH", "POST", "PUT", "DELETE"],
): readonly string[] {
  return requests
    .filter(({ method, path }) => methods.includes(method) && path.includes(app))
    .map(({ method, path }) => `${method} ${path}`);
}
