import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  KubeConfig,
  V1Eviction,
  type V1Deployment,
} from "@kubernetes/client-node";
import { startKubernetes, type Kubernetes } from "../../../cli/demo/kubernetes.ts";
import { MERGE, patch, raw, restart, STRATEGIC, WEB, WEB_PATH } from "./given.ts";

let api: Kubernetes;
let apps: AppsV1Api;
let core: CoreV1Api;
beforeEach(async () => {
  api = await startKubernetes({
    token: "admin",
    deployments: [
      { ...WEB, labels: { tier: "front" }, replicas: 3 },
      { namespace: "default", name: "db", replicas: 1 },
    ],
    readyAfterMs: 60,
  });
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: "c", server: api.url, skipTLSVerify: true }],
    users: [{ name: "u", token: "admin" }],
    contexts: [{ name: "x", cluster: "c", user: "u" }],
    currentContext: "x",
  });
  apps = config.makeApiClient(AppsV1Api);
  core = config.makeApiClient(CoreV1Api);
});
afterEach(async () => {
  await api.stop();
});

async function until(holds: (deployment: V1Deployment) => boolean): Promise<V1Deployment> {
  for (;;) {
    const deployment = await apps.readNamespacedDeployment(WEB);
    if (holds(deployment)) return deployment;
    await sleep(5);
  }
}

test("a rollout restart is noticed first and then replaces every pod", async () => {
  const before = await core.listNamespacedPod({ namespace: "default", labelSelector: "app=web" });

  const answer = await apps.patchNamespacedDeployment(
    { ...WEB, fieldManager: "fettle", body: restart("2026-01-01T00:00:00Z") },
    STRATEGIC,
  );
  const noticed = await until(({ status }) => status?.observedGeneration === 2);
  const done = await until(({ status }) => status?.updatedReplicas === 3);

  expect(answer.metadata?.generation).toBe(2);
  expect(answer.status?.observedGeneration).toBe(1);
  expect(noticed.status?.updatedReplicas).toBeUndefined(); // Go leaves a zero out
  expect(done.status).toMatchObject({ observedGeneration: 2, availableReplicas: 3, replicas: 3 });
  const after = await core.listNamespacedPod({ namespace: "default", labelSelector: "app=web" });
  const uids = (list: typeof after) => list.items.map(({ metadata }) => metadata?.uid);
  expect(uids(after)).toHaveLength(3);
  expect(uids(after).filter((uid) => uids(before).includes(uid))).toEqual([]);
  expect(api.mutations()).toHaveLength(1);
});

test("the same restart again changes nothing and is no mutation", async () => {
  const body = restart("2026-01-01T00:00:00Z");
  const first = await apps.patchNamespacedDeployment({ ...WEB, body }, MERGE);

  const second = await apps.patchNamespacedDeployment({ ...WEB, body }, MERGE);

  expect(second.metadata?.generation).toBe(first.metadata?.generation);
  expect(api.requests.map(({ effective, status }) => ({ effective, status }))).toEqual([
    { effective: true, status: 200 },
    { effective: false, status: 200 },
  ]);
});

test("a dry run answers the patched object and stores nothing", async () => {
  const before = api.read({ resource: "deployments", group: "apps", ...WEB });

  const answer = await apps.patchNamespacedDeployment(
    { ...WEB, dryRun: "All", body: restart("2026-01-01T00:00:00Z") },
    STRATEGIC,
  );

  expect(answer.spec?.template.metadata?.annotations).toMatchObject({
    "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
  });
  expect(api.read({ resource: "deployments", group: "apps", ...WEB })).toBe(before);
  expect(api.mutations()).toEqual([]);
  expect(api.requests).toMatchObject([{ dryRun: true, effective: false }]);
});

test("a patch with a stale resourceVersion is a conflict, with the words of the real server", async () => {
  const { metadata } = await apps.readNamespacedDeployment(WEB);
  const stale = metadata?.resourceVersion;
  await apps.patchNamespacedDeploymentScale({ ...WEB, body: { spec: { replicas: 4 } } }, MERGE);

  const conflict = apps.patchNamespacedDeployment(
    { ...WEB, body: restart("2026-01-01T00:00:00Z", stale) },
    MERGE,
  );

  const error = await conflict.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApiException);
  expect(JSON.parse((error as ApiException<string>).body)).toEqual({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message:
      'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; ' +
      "please apply your changes to the latest version and try again",
    reason: "Conflict",
    details: { name: "web", group: "apps", kind: "deployments" },
    code: 409,
  });
});

test("scale shares the Deployment's version, bumps its generation and makes pods", async () => {
  const scale = await apps.readNamespacedDeploymentScale(WEB);
  const resourceVersion = scale.metadata?.resourceVersion;

  const scaled = await apps.patchNamespacedDeploymentScale(
    { ...WEB, body: { metadata: { resourceVersion }, spec: { replicas: 5 } } },
    MERGE,
  );
  const done = await until(({ status }) => status?.availableReplicas === 5);

  expect(scale).toMatchObject({
    spec: { replicas: 3 },
    status: { replicas: 3, selector: "app=web" },
  });
  expect(scaled.spec?.replicas).toBe(5);
  expect(done.metadata?.generation).toBe(2);
  expect(done.metadata?.resourceVersion).not.toBe(resourceVersion);
});

test("a strategic patch merges containers by name, a merge patch replaces the list", async () => {
  const containers = [{ name: "web", env: [{ name: "A", value: "1" }] }];
  const body = { spec: { template: { spec: { containers } } } };

  const merged = await apps.patchNamespacedDeployment({ ...WEB, body }, STRATEGIC);
  const replaced = await raw(api, WEB_PATH, patch(body));

  expect(merged.spec?.template.spec?.containers).toMatchObject([
    { name: "web", image: "registry.example/web:1.0.0", env: [{ name: "A", value: "1" }] },
  ]);
  expect(replaced).toMatchObject({
    status: 422,
    body: {
      message:
        'Deployment.apps "web" is invalid: spec.template.spec.containers[0].image: Required value',
      reason: "Invalid",
      details: {
        name: "web",
        group: "apps",
        kind: "Deployment",
        causes: [
          {
            reason: "FieldValueRequired",
            message: "Required value",
            field: "spec.template.spec.containers[0].image",
          },
        ],
      },
    },
  });
});

test("an eviction asks for the pod's uid, succeeds once, and the pod is replaced", async () => {
  const { items } = await core.listNamespacedPod({
    namespace: "default",
    labelSelector: "app=web",
  });
  const name = items[0]?.metadata?.name ?? "";
  const uid = items[0]?.metadata?.uid ?? "";
  const evict = (wanted: string) =>
    raw(api, `/api/v1/namespaces/default/pods/${name}/eviction`, {
      method: "POST",
      body: JSON.stringify({
        apiVersion: "policy/v1",
        kind: "Eviction",
        metadata: { name, namespace: "default" },
        deleteOptions: { preconditions: { uid: wanted } },
      }),
    });

  const other = await evict("00000000-0000-0000-0000-000000000000");
  const done = await evict(uid);
  const again = await evict(uid);

  expect(other).toMatchObject({
    status: 409,
    body: {
      message:
        `Operation cannot be fulfilled on Pod "${name}": the UID in the precondition ` +
        `(00000000-0000-0000-0000-000000000000) does not match the UID in record (${uid}). ` +
        "The object might have been deleted and then recreated",
      details: { name, kind: "Pod" },
    },
  });
  expect(done).toEqual({
    status: 201,
    body: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 },
  });
  expect(again).toMatchObject({ status: 404, body: { details: { name, kind: "pods" } } });
  await until(({ status }) => status?.availableReplicas === 2);
  await until(({ status }) => status?.availableReplicas === 3);
  expect(api.mutations()).toHaveLength(1);
});

test("an eviction by the client library can be a dry run", async () => {
  const { items } = await core.listNamespacedPod({ namespace: "default", limit: 1 });
  const name = items[0]?.metadata?.name ?? "";
  const body = Object.assign(new V1Eviction(), {
    metadata: { name },
    deleteOptions: { dryRun: ["All"] },
  });

  await core.createNamespacedPodEviction({ namespace: "default", name, body });

  expect(api.mutations()).toEqual([]);
  expect(api.requests.at(-1)).toMatchObject({ dryRun: true, status: 201 });
});

test("a list is selected by labels and cut into pages", async () => {
  const names = async (labelSelector: string) =>
    (await apps.listDeploymentForAllNamespaces({ labelSelector })).items.map(
      ({ metadata }) => metadata?.name,
    );
  const first = await core.listNamespacedPod({ namespace: "default", limit: 3 });
  const _continue = first.metadata?._continue ?? "";
  const rest = await core.listNamespacedPod({ namespace: "default", limit: 3, _continue });

  expect(await names("tier=front")).toEqual(["web"]);
  expect(await names("app in (web, db),!tier")).toEqual(["db"]);
  expect(await names("app!=web")).toEqual(["db"]);
  expect([first.items.length, first.metadata?.remainingItemCount]).toEqual([3, 1]);
  expect([rest.items.length, rest.metadata?._continue]).toEqual([1, undefined]);
});

test("a rollout that never gets ready stays where it is", async () => {
  api.setReadyAfterMs(Infinity);
  await apps.patchNamespacedDeployment({ ...WEB, body: restart("x") }, MERGE);

  await until(({ status }) => status?.observedGeneration === 2);
  await sleep(100);

  const { status } = await apps.readNamespacedDeployment(WEB);
  expect(status?.updatedReplicas).toBeUndefined();
});
