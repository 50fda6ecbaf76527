import { readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { kubernetesCluster } from "../../runbooks/adapters/kubernetes/actions.ts";
import { connectKubernetes } from "../../runbooks/adapters/kubernetes/connect.ts";
import { kubernetesCensus } from "../../runbooks/adapters/kubernetes/preflight.ts";
import type { Cluster } from "../../runbooks/types/cluster.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import {
  actionNamed,
  expectNoDeletes,
  givenCluster,
  NAMESPACE,
  planned,
  prepare,
  target,
  WEB,
  worker,
  type GivenCluster,
} from "./given.ts";

let given: GivenCluster;
let cluster: Cluster;
beforeEach(async () => {
  given = await givenCluster();
  ({ cluster } = given);
});
afterEach(async () => {
  expectNoDeletes(given.kubernetes);
  await given.stop();
});

test.each([
  ["deployment", "web", "deployments"],
  ["statefulset", "db", "statefulsets"],
  ["daemonset", "agent", "daemonsets"],
] as const)("restarts a %s once, and sees the end of its rollout", async (kind, name, resource) => {
  const of = target(kind, name);
  const before = (await cluster.pods(of)).map(({ uid }) => uid);
  const plan = await planned("rollout_restart", cluster, { of });

  expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: false });
  expect(await worker().apply(plan, cluster)).toEqual({ kind: "done", already: true });

  expect(given.kubernetes.mutations().map(({ path }) => path)).toEqual([
    `/apis/apps/v1/namespaces/shop/${resource}/${name}`,
  ]);
  await waitUntil("the rollout", async () =>
    Boolean(await actionNamed("rollout_restart").settled(plan, cluster)),
  );
  const after = (await cluster.pods(of)).map(({ uid }) => uid);
  expect(after).toHaveLength(3);
  expect(after.filter((uid) => before.includes(uid))).toEqual([]);
});

test("says what it would touch, how to undo it, and that the server would accept it", async () => {
  expect(await prepare("rollout_restart", cluster)).toMatchObject({
    preflight: [
      { severity: "info", about: "replicas", text: "touches 3 of 3 pods (100 %)" },
      { severity: "info", about: "dry-run", text: "the cluster would accept it" },
    ],
    rollback: expect.stringContaining("kubectl -n shop rollout undo deployment/web"),
  });
  expect(given.kubernetes.mutations()).toEqual([]);
});

test("a rollout that is under way stops it", async () => {
  given.kubernetes.setReadyAfterMs(Infinity);
  const { resourceVersion = "" } = (await cluster.workload(WEB)) ?? {};
  const request = { resourceVersion, restartedAt: "now", runId: "somebody", dryRun: false };
  await cluster.restart(WEB, request);
  await waitUntil("the rollout to be noticed", async () => {
    const workload = await cluster.workload(WEB);
    return workload?.observedGeneration === 2 && workload.updatedReplicas === 0;
  });

  expect(await prepare("rollout_restart", cluster)).toMatchObject({
    preflight: expect.arrayContaining([
      {
        severity: "stop",
        about: "rollout",
        text: "a rollout of the Deployment is under way (0 of 3 pods are new)",
      },
    ]),
  });
});

test("a workload that does not exist is named with its kind", async () => {
  expect(
    await prepare("rollout_restart", cluster, { of: target("statefulset", "nobody") }),
  ).toEqual({ kind: "refused", why: "there is no StatefulSet shop/nobody" });
});

test("after a 401 the kubeconfig is read again, once", async () => {
  const kubeconfig = await writeKubeconfig({ url: given.kubernetes.url, token: "expired" });
  const rotating = kubernetesCluster(connectKubernetes(kubeconfig.path));
  await expect(rotating.workload(WEB)).rejects.toMatchObject({ reason: "unauthorized" });
  expect(given.kubernetes.requests).toHaveLength(2);

  const text = await readFile(kubeconfig.path, "utf8");
  await writeFile(kubeconfig.path, text.replace("expired", given.kubernetes.token));

  expect(await rotating.workload(WEB)).toMatchObject({ replicas: 3 });
  await kubeconfig.remove();
});

test("the census counts every kind of workload, and says when it does not know", async () => {
  const kubeconfig = await writeKubeconfig(given.kubernetes);
  const census = kubernetesCensus(connectKubernetes(kubeconfig.path));

  expect(await census.countWorkloads(NAMESPACE)).toBe(3);
  given.kubernetes.failNext({ path: /daemonsets/, status: 403 });
  expect(await census.countWorkloads(NAMESPACE)).toBeUndefined();
  await kubeconfig.remove();
});
