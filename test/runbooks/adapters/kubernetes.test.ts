import { rename } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { kubernetesCluster } from "../../../runbooks/adapters/kubernetes/actions.ts";
import { connectKubernetes } from "../../../runbooks/adapters/kubernetes/connect.ts";
import { ClusterError, type Cluster } from "../../../runbooks/types/cluster.ts";
import type { Target } from "../../../runbooks/types/target.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { writeKubeconfig } from "../../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../../fakes/kubernetes.ts";

const WEB: Target = {
  cluster: "default",
  namespace: "shop",
  kind: "deployment",
  name: "web",
  app: "web",
};
const OTHER: Target = { ...WEB, name: "other" };
const READ_ONLY_TOKEN = "viewer-token";
/** Longer than a busy machine holds an answer up. */
const TIMEOUT_MS = 20_000;
/** Where no answer comes. */
const SHORT_TIMEOUT_MS = 2_000;

let kubernetes: Kubernetes;
let cluster: Cluster;
const removals: (() => Promise<void>)[] = [];

async function clusterAt(
  url: string,
  token: string,
  timeoutMs: number = TIMEOUT_MS,
): Promise<Cluster> {
  const kubeconfig = await writeKubeconfig({ url, token });
  removals.push(kubeconfig.remove);
  return kubernetesCluster(connectKubernetes(kubeconfig.path, { timeoutMs }));
}

beforeAll(async () => {
  kubernetes = await startKubernetes({
    readOnlyToken: READ_ONLY_TOKEN,
    readyAfterMs: 50,
    deployments: [
      { namespace: "shop", name: "web", replicas: 3 },
      { namespace: "shop", name: "other", replicas: 1 },
    ],
  });
  cluster = await clusterAt(kubernetes.url, kubernetes.token);
});
afterAll(async () => {
  for (const remove of removals) await remove();
  await kubernetes.stop();
});

let restarts = 0;
/** A restart of the object as it is now, after the one before: a rollout under way changes the object's version. */
async function requestFor(target: Target) {
  restarts += 1;
  await waitUntil("the rollout before", async () => {
    const { generation, observedGeneration, replicas, updatedReplicas, availableReplicas } =
      (await cluster.workload(target)) ?? {};
    const settled = updatedReplicas === replicas && availableReplicas === replicas;
    return observedGeneration === generation && settled;
  });
  return {
    resourceVersion: (await cluster.workload(target))?.resourceVersion ?? "",
    restartedAt: `2026-11-21T03:00:${String(restarts).padStart(2, "0")}Z`,
    runId: `run_${restarts}`,
    dryRun: false,
  };
}

async function failureOf(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(ClusterError);
  return error as ClusterError;
}

describe("reading", () => {
  test("gives what an action needs to know", async () => {
    expect(await cluster.workload(OTHER)).toEqual({
      generation: 1,
      uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      observedGeneration: 1,
      resourceVersion: expect.stringMatching(/^\d+$/),
      replicas: 1,
      updatedReplicas: 1,
      availableReplicas: 1,
      paused: false,
      restartedAt: undefined,
    });
  });

  test("gives undefined for what is not there", async () => {
    expect(await cluster.workload({ ...WEB, name: "nobody" })).toBeUndefined();
    expect(await cluster.workload({ ...WEB, namespace: "nowhere" })).toBeUndefined();
  });
});

describe("restarting", () => {
  test("sets kubectl's own annotation and the run's, and the pods are replaced", async () => {
    const request = await requestFor(WEB);

    expect(await cluster.restart(WEB, request)).toBe("accepted");

    const stored = kubernetes.read({ resource: "deployments", group: "apps", ...WEB });
    expect(stored).toMatchObject({
      metadata: { generation: 2, annotations: { "fettle.dev/run-id": request.runId } },
      spec: {
        template: {
          metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": request.restartedAt } },
        },
      },
    });
    await waitUntil("the rollout", async () => {
      const workload = await cluster.workload(WEB);
      return workload?.observedGeneration === 2 && workload.updatedReplicas === 3;
    });
    expect(kubernetes.requests.find(({ method }) => method === "PATCH")?.query).toMatchObject({
      fieldManager: "fettle",
    });
  });

  test("in a dry run only lets the server check it", async () => {
    const before = kubernetes.mutations().length;

    expect(await cluster.restart(WEB, { ...(await requestFor(WEB)), dryRun: true })).toBe(
      "accepted",
    );

    expect(kubernetes.mutations()).toHaveLength(before);
    expect(kubernetes.requests.at(-1)).toMatchObject({
      method: "PATCH",
      dryRun: true,
      status: 200,
    });
  });

  test("an object that has changed since it was read is a conflict, and is left alone", async () => {
    const request = await requestFor(OTHER);
    await cluster.restart(OTHER, await requestFor(OTHER));
    const before = kubernetes.mutations().length;

    expect(await cluster.restart(OTHER, request)).toBe("conflict");

    expect(kubernetes.mutations()).toHaveLength(before);
  });

  test("of what was deleted meanwhile is refused for good", async () => {
    const gone = { ...WEB, name: "nobody" };
    const error = await failureOf(cluster.restart(gone, await requestFor(WEB)));

    expect(error.retryable).toBe(false);
    expect(error.message).toContain('deployments.apps "nobody" not found');
  });
});

describe("failures", () => {
  test("a kubeconfig that is not there yet is read when it is", async () => {
    const kubeconfig = await writeKubeconfig({ url: kubernetes.url, token: kubernetes.token });
    removals.push(kubeconfig.remove);
    const later = `${kubeconfig.path}.later`;
    const early = kubernetesCluster(connectKubernetes(later, { timeoutMs: TIMEOUT_MS }));
    expect((await failureOf(early.workload(WEB))).retryable).toBe(false);

    await rename(kubeconfig.path, later);

    expect(await early.workload(WEB)).toMatchObject({ replicas: 3 });
  });

  test("without the right to patch it is final, and the server's own words name what is missing", async () => {
    const viewer = await clusterAt(kubernetes.url, READ_ONLY_TOKEN);
    expect(await viewer.workload(WEB)).toMatchObject({ replicas: 3 });

    const error = await failureOf(viewer.restart(WEB, await requestFor(WEB)));

    expect(error.retryable).toBe(false);
    expect(error.message).toMatch(
      /^cannot patch Deployment shop\/web: deployments\.apps "web" is forbidden: User "viewer" cannot patch resource "deployments"/,
    );
  });

  test("a wrong token is final, and is not printed", async () => {
    const stranger = await clusterAt(kubernetes.url, "canary-wrong-token");

    const error = await failureOf(stranger.workload(WEB));

    expect(error.retryable).toBe(false);
    expect(error.message).toContain("Unauthorized");
    expect(error.message).not.toContain("canary");
  });

  test.each([
    ["500", { status: 500 }],
    ["503", { status: 503 }],
    ["429, too many requests", { status: 429 }],
    ["a connection that is cut after the server did it", { closeAfterEffect: true }],
  ] as const)("%s may be tried again", async (_name, fault) => {
    const request = await requestFor(WEB);
    kubernetes.failNext({ method: "PATCH", ...fault });

    expect((await failureOf(cluster.restart(WEB, request))).retryable).toBe(true);
  });

  test("no answer in time may be tried again, and is not waited for any longer", async () => {
    const impatient = await clusterAt(kubernetes.url, kubernetes.token, SHORT_TIMEOUT_MS);
    const request = await requestFor(WEB);
    kubernetes.failNext({ method: "PATCH", hang: true });
    const start = performance.now();

    const error = await failureOf(impatient.restart(WEB, request));

    expect(error.retryable).toBe(true);
    expect(performance.now() - start).toBeLessThan(TIMEOUT_MS);
    expect(error.message).toContain("timeout");
  });

  test("after a cut connection, reading says whether it was done", async () => {
    const request = await requestFor(WEB);
    kubernetes.failNext({ method: "PATCH", closeAfterEffect: true });

    await failureOf(cluster.restart(WEB, request));

    expect((await cluster.workload(WEB))?.restartedAt).toBe(request.restartedAt);
  });

  test("a cluster that is not there may be tried again", async () => {
    const nowhere = await clusterAt("http://127.0.0.1:9", "x");

    expect((await failureOf(nowhere.workload(WEB))).retryable).toBe(true);
  });

  test("a kubeconfig that cannot be read is said, with its path", async () => {
    const error = await failureOf(
      kubernetesCluster(connectKubernetes("/no/such/file")).workload(WEB),
    );

    expect(error).toMatchObject({ retryable: false });
    expect(error.message).toContain("/no/such/file");
  });

  test("no configuration of a cluster at all is said as that", async () => {
    const { HOME, KUBECONFIG } = process.env;
    delete process.env["KUBECONFIG"];
    process.env["HOME"] = "/no/such/home";
    const error = await failureOf(kubernetesCluster(connectKubernetes(undefined)).workload(WEB));
    Object.assign(process.env, { HOME, ...(KUBECONFIG === undefined ? {} : { KUBECONFIG }) });

    expect(error.message).toContain("no cluster is configured: KUBECONFIG is not set");
  });
});
