import { expect } from "@jest/globals";
import { actions } from "../../runbooks/actions/index.ts";
import type { Action, ApplyContext, Effect, Prepared } from "../../runbooks/actions/types.ts";
import { kubernetesCluster } from "../../runbooks/adapters/kubernetes/actions.ts";
import { connectKubernetes } from "../../runbooks/adapters/kubernetes/connect.ts";
import type { Cluster } from "../../runbooks/types/cluster.ts";
import type { Plan } from "../../runbooks/types/plan.ts";
import type { ActionName, PolicyRule } from "../../runbooks/types/policy.ts";
import type { Run } from "../../runbooks/types/run.ts";
import type { Target } from "../../runbooks/types/target.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";

export const NAMESPACE = "shop";
export const READ_ONLY_TOKEN = "viewer-token";
const START = Date.parse("2026-11-21T03:00:00Z");

export interface GivenCluster {
  readonly kubernetes: Kubernetes;
  readonly cluster: Cluster;
  /** The same cluster for somebody with another token. */
  readonly as: (token: string) => Promise<Cluster>;
  readonly stop: () => Promise<void>;
}

/** A stand-in with a workload `web` of three pods of each kind, and the product's own client for it. */
export async function givenCluster({ readyAfterMs = 20 } = {}): Promise<GivenCluster> {
  const web = { namespace: NAMESPACE, name: "web", replicas: 3 };
  const kubernetes = await startKubernetes({
    readOnlyToken: READ_ONLY_TOKEN,
    readyAfterMs,
    deployments: [web],
    statefulsets: [{ ...web, name: "db" }],
    daemonsets: [{ ...web, name: "agent" }],
  });
  const removals: (() => Promise<void>)[] = [];
  const as = async (token: string) => {
    const kubeconfig = await writeKubeconfig({ url: kubernetes.url, token });
    removals.push(kubeconfig.remove);
    return kubernetesCluster(connectKubernetes(kubeconfig.path, { timeoutMs: 20_000 }));
  };
  return {
    kubernetes,
    cluster: await as(kubernetes.token),
    as,
    stop: async () => {
      for (const remove of removals) await remove();
      await kubernetes.stop();
    },
  };
}

export function target(kind: Target["kind"], name: string): Target {
  return { cluster: "default", namespace: NAMESPACE, kind, name, app: name };
}

export const WEB = target("deployment", "web");

export interface Ask {
  readonly of?: Target;
  readonly argument?: string;
  readonly options?: PolicyRule["options"];
  readonly alertPods?: readonly string[];
  readonly dryRun?: boolean;
}

export function actionNamed(name: ActionName): Action {
  const action = actions[name];
  if (action === undefined) throw new Error(`there is no ${name}`);
  return action;
}

export async function prepare(
  name: ActionName,
  cluster: Cluster,
  { of = WEB, argument, options = {}, alertPods = [], dryRun = false }: Ask = {},
): Promise<Prepared> {
  const rule = { trigger: "t", reason: undefined, action: name, argument, options, text: "" };
  const request = { target: of, rule, alertPods, now: new Date(START), dryRun, runId: "run_1" };
  return actionNamed(name).prepare(request, cluster);
}

/** The plan, which nothing stops. */
export async function planned(name: ActionName, cluster: Cluster, ask: Ask = {}): Promise<Plan> {
  const prepared = await prepare(name, cluster, ask);
  expect(prepared).toMatchObject({ kind: "plan" });
  if (prepared.kind !== "plan") throw new Error("refused");
  expect(prepared.preflight.filter(({ severity }) => severity === "stop")).toEqual([]);
  return prepared.plan;
}

/** A run at work: what it wrote down, and a clock and a stop sign that the test holds. */
export interface Worker {
  progress: Run["progress"];
  readonly records: object[];
  seconds: number;
  stopReason: () => string | undefined;
  readonly apply: (plan: Plan, cluster: Cluster) => Promise<Effect>;
}

export function worker(): Worker {
  const state: Worker = {
    progress: {},
    records: [],
    seconds: 0,
    stopReason: () => undefined,
    apply: async (plan, cluster) => {
      const context: ApplyContext = {
        runId: "run_1",
        progress: state.progress,
        now: new Date(START + state.seconds * 1000),
        stopReason: async () => state.stopReason(),
        record: async (progress, detail) => {
          state.progress = progress;
          if (detail !== undefined) state.records.push(detail);
        },
      };
      return actionNamed(plan.action).apply(plan, context, cluster);
    },
  };
  return state;
}

/** What was done to the cluster, in order. */
export function effectsOf({ mutations }: Kubernetes): readonly string[] {
  return mutations().map(({ method, path }) => `${method} ${path}`);
}

/** No action ever deletes, whatever happens. */
export function expectNoDeletes({ requests }: Kubernetes): void {
  expect(requests.filter(({ method }) => method === "DELETE")).toEqual([]);
}
