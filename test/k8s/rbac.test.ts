import { expect, test } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { runCommandLine } from "../../cli/program.ts";
import { kubernetesCensus } from "../../runbooks/adapters/kubernetes/preflight.ts";
import { connectKubernetes } from "../../runbooks/adapters/kubernetes/connect.ts";
import { actionRules } from "../../runbooks/tools/rbac.ts";
import { route, verbOf } from "../../cli/demo/kubernetes/route.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import type { ActionName } from "../../runbooks/types/policy.ts";
import { waitUntil } from "../fakes/fettle.ts";
import {
  actionNamed,
  givenCluster,
  NAMESPACE,
  planned,
  target,
  WEB,
  worker,
  type Ask,
} from "./given.ts";

async function commandLine(args: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(args, {
    env: {},
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    terminal: false,
    ask: async () => undefined,
  });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test("the rights are exactly those that the actions use", async () => {
  const { kubernetes, cluster, stop } = await givenCluster();
  const kubeconfig = await writeKubeconfig(kubernetes);
  const DB = target("statefulset", "db");
  const carryOut = async (name: ActionName, ask: Ask = {}) => {
    const plan = await planned(name, cluster, ask);
    await worker().apply(plan, cluster);
    await waitUntil(name, async () => Boolean(await actionNamed(name).settled(plan, cluster)));
  };
  for (const each of [WEB, DB, target("daemonset", "agent")])
    await carryOut("rollout_restart", { of: each });
  await carryOut("restart_pods", { options: { max: 1 } });
  await carryOut("scale_up");
  await carryOut("scale_up", { of: DB });
  kubernetes.put("horizontalpodautoscalers", {
    metadata: { name: "web-hpa", namespace: NAMESPACE },
    spec: { scaleTargetRef: { kind: "Deployment", name: "web" }, minReplicas: 1, maxReplicas: 9 },
  });
  const raise = await planned("scale_up", cluster, { options: { hpa: "raise-min" } });
  await worker().apply(raise, cluster);
  await kubernetesCensus(connectKubernetes(kubeconfig.path)).countWorkloads(NAMESPACE);

  const used = kubernetes.requests.map(({ method, path }) => {
    const where = route(path);
    if (where === undefined) throw new Error(`unknown path ${path}`);
    const { group, resource, subresource } = where;
    const what = subresource === undefined ? resource : `${resource}/${subresource}`;
    return `${group}/${what} ${verbOf(method, where)}`;
  });
  const granted = actionRules.flatMap(({ apiGroups, resources, verbs }) =>
    resources.flatMap((what) => verbs.map((verb) => `${apiGroups[0] ?? ""}/${what} ${verb}`)),
  );
  expect([...new Set(used)].sort()).toEqual([...granted].sort());
  await kubeconfig.remove();
  await stop();
});

test("are printed as a Role and its binding for each namespace, and nothing for the whole cluster", async () => {
  const { code, out } = await commandLine(["k8s", "rbac", "--namespace", "team-a", "team-b"]);

  const documents = parseAllDocuments(out).map((document) => document.toJS() as object);
  expect(code).toBe(0);
  expect(documents).toMatchObject([
    { kind: "Role", metadata: { name: "fettle-executor", namespace: "team-a" } },
    {
      kind: "RoleBinding",
      metadata: { namespace: "team-a" },
      subjects: [{ kind: "ServiceAccount", name: "fettle-executor", namespace: "runbooks" }],
    },
    { kind: "Role", metadata: { namespace: "team-b" } },
    { kind: "RoleBinding", metadata: { namespace: "team-b" } },
  ]);
  expect(out).not.toMatch(/secrets|pods\/exec|delete|Cluster|\*/);
});

test("what is no name is refused", async () => {
  expect(await commandLine(["k8s", "rbac", "--namespace", "Team_A"])).toMatchObject({
    code: 1,
    err: expect.stringContaining('got "Team_A"'),
  });
  expect(await commandLine(["k8s", "rbac"])).toMatchObject({ code: 2 });
});
