import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { route, verbOf } from "../../cli/demo/kubernetes/route.ts";
import { connectKubernetes } from "../../runbooks/adapters/kubernetes/connect.ts";
import { kubernetesDiagnostics } from "../../runbooks/adapters/kubernetes/diagnostics.ts";
import { actionRules, diagnosticsRules } from "../../runbooks/tools/rbac.ts";
import type { Diagnostics, Json } from "../../runbooks/types/collect.ts";
import type { Target } from "../../runbooks/types/target.ts";
import { writeKubeconfig, type Kubeconfig } from "../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../fakes/kubernetes.ts";

let kubernetes: Kubernetes;
let kubeconfig: Kubeconfig;
let diagnostics: Diagnostics;

beforeAll(async () => {
  const container = {
    env: [{ name: "MODE", valueFrom: { configMapKeyRef: { name: "settings", key: "mode" } } }],
  };
  kubernetes = await startKubernetes({
    deployments: [
      { namespace: "shop", name: "web", replicas: 2, container },
      { namespace: "shop", name: "web-admin", replicas: 1 },
    ],
    statefulsets: [{ namespace: "shop", name: "db", replicas: 1 }],
  });
  kubeconfig = await writeKubeconfig(kubernetes);
  diagnostics = kubernetesDiagnostics(connectKubernetes(kubeconfig.path));
  for (const [name, data] of [
    ["settings", { mode: "canary-setting" }],
    ["unused", { other: "canary-other" }],
  ] as const)
    kubernetes.put("configmaps", { metadata: { namespace: "shop", name }, data });
});
afterAll(async () => {
  await kubernetes.stop();
  await kubeconfig.remove();
});

function target(kind: Target["kind"], name: string): Target {
  return { cluster: "default", namespace: "shop", kind, name, app: name };
}

function namesOf(objects: readonly Json[]): readonly string[] {
  return objects.map(
    ({ kind, metadata }) => `${String(kind)} ${(metadata as { readonly name: string }).name}`,
  );
}

test("what belongs to a target is found by its owner, and of ConfigMaps only the names of those it uses", async () => {
  const found = await diagnostics.objects(target("deployment", "web"));

  expect(found.problems).toEqual([]);
  expect(namesOf([found.workload])).toEqual(["Deployment web"]);
  expect(namesOf(found.pods)).toEqual([
    expect.stringMatching(/^Pod web-[0-9a-f]{10}-/),
    expect.stringMatching(/^Pod web-[0-9a-f]{10}-/),
  ]);
  expect(namesOf(found.revisions)).toEqual([
    expect.stringMatching(/^ReplicaSet web-[0-9a-f]{10}$/),
  ]);
  expect(namesOf(found.others)).toEqual(["ConfigMap settings"]);
  expect(found.others[0]).toMatchObject({ keys: ["mode"] });
  expect(JSON.stringify(found)).not.toContain("canary");
});

test("what may not be listed is a note, and the rest is there", async () => {
  kubernetes.failNext({
    method: "GET",
    path: "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers",
    status: 403,
  });

  const found = await diagnostics.objects(target("statefulset", "db"));

  expect(found.problems).toEqual([expect.stringMatching(/^cannot list the autoscalers of shop/)]);
  expect(found.pods).toHaveLength(1);
});

test("a target that is gone says so", async () => {
  await expect(diagnostics.objects(target("deployment", "gone"))).rejects.toThrow(
    'deployments.apps "gone" not found',
  );
});

test("the end of a long log is read, and a container that was never restarted has none before", async () => {
  const [pod = ""] = kubernetes.podNames("shop").filter((name) => name.startsWith("db-"));
  const lines = Array.from({ length: 100 }, (_, at) => `line ${at}`).join("\n");
  kubernetes.setPodLog("shop", pod, `${lines}\n`);
  const request = { pod, container: "db", lines: 3, bytesMax: 1000 };

  const text = await diagnostics.log(target("statefulset", "db"), { ...request, previous: false });

  expect(text).toBe("line 97\nline 98\nline 99\n");
  await expect(
    diagnostics.log(target("statefulset", "db"), { ...request, previous: true }),
  ).rejects.toThrow("previous terminated container");
});

test("of many events those of the target are found, over several pages", async () => {
  for (let at = 0; at < 1_100; at += 1)
    kubernetes.put("events", {
      metadata: { namespace: "shop", name: `event-${String(at).padStart(4, "0")}` },
      involvedObject: { kind: "Deployment", name: at % 500 === 499 ? "web" : "somebody" },
      message: `number ${at}`,
    });

  const found = await diagnostics.events(target("deployment", "web"), new Set(["web"]));

  expect(found.map(({ message }) => message)).toEqual(["number 499", "number 999"]);
});

test("the rights that are told are enough, and none of them is for nothing", () => {
  const used = kubernetes.requests.flatMap(({ method, path }) => {
    const where = route(path);
    if (where === undefined) return [];
    const resource = [where.resource, where.subresource].filter((part) => part !== undefined);
    return [`${where.group}/${resource.join("/")} ${verbOf(method, where)}`];
  });
  const named = (rules: typeof actionRules) =>
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => `${apiGroups[0] ?? ""}/${resource} ${verb}`),
      ),
    );

  const allowed = new Set([...named(actionRules), ...named(diagnosticsRules)]);
  expect([...new Set(used)].filter((right) => !allowed.has(right))).toEqual([]);
  expect(named(diagnosticsRules).filter((right) => !used.includes(right))).toEqual([]);
  expect(kubernetes.mutations()).toEqual([]);
});
