import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { afterEach, expect, test } from "@jest/globals";
import { policyConfigMap } from "../../../runbooks/adapters/kubernetes/config-map.ts";
import { connectKubernetes } from "../../../runbooks/adapters/kubernetes/connect.ts";
import type { PolicyMap } from "../../../runbooks/types/policy.ts";
import { writeKubeconfig } from "../../fakes/kubeconfig.ts";
import { startKubernetes, type Kubernetes } from "../../fakes/kubernetes.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

interface GivenMap {
  readonly kubernetes: Kubernetes;
  /** Its path. */
  readonly kubeconfig: string;
  readonly map: PolicyMap;
}

async function givenMap(token?: string): Promise<GivenMap> {
  const kubernetes = await startKubernetes({ deployments: [] });
  const kubeconfig = await writeKubeconfig({
    url: kubernetes.url,
    token: token ?? kubernetes.token,
  });
  stops.push(kubernetes.stop, kubeconfig.remove);
  return {
    kubernetes,
    kubeconfig: kubeconfig.path,
    map: policyConfigMap("runbooks/runbooks-policy", connectKubernetes(kubeconfig.path)),
  };
}

function put(kubernetes: Kubernetes, text: string, name = "runbooks-policy"): void {
  kubernetes.put("configmaps", {
    metadata: {
      name,
      namespace: "runbooks",
      annotations: { "fettle.dev/changed-by": "eva" },
    },
    data: { default: text },
  });
}

const never = new AbortController().signal;

test("reads the one ConfigMap by its name, and says who changed it", async () => {
  const { kubernetes, map } = await givenMap();
  put(kubernetes, "a=rollout_restart");
  put(kubernetes, "b=rollout_restart", "other");

  expect(await map.read()).toMatchObject({
    data: { default: "a=rollout_restart" },
    changedBy: "eva",
    version: expect.stringMatching(/^\d+$/),
  });
});

test("one that is not there is not an error", async () => {
  const { map } = await givenMap();

  expect((await map.read()).data).toBeUndefined();
});

test("tells of a change and of a deletion, and of no other ConfigMap's", async () => {
  const { kubernetes, map } = await givenMap();
  put(kubernetes, "a=rollout_restart");

  const changed = map.changed((await map.read()).version, never);
  put(kubernetes, "x=rollout_restart", "other");
  put(kubernetes, "b=rollout_restart");
  expect(await changed).toBe("look");
  expect((await map.read()).data).toEqual({ default: "b=rollout_restart" });

  const removed = map.changed((await map.read()).version, never);
  kubernetes.remove({
    resource: "configmaps",
    group: "",
    namespace: "runbooks",
    name: "runbooks-policy",
  });
  expect(await removed).toBe("look");
  expect((await map.read()).data).toBeUndefined();
});

test("a watch that the server refuses, or cuts, is lost", async () => {
  const { kubernetes, map } = await givenMap();
  const { version } = await map.read();
  kubernetes.failNext({ method: "GET", status: 403 });

  expect(await map.changed(version, never)).toBe("lost");
  await kubernetes.stop();
  expect(await map.changed(version, never)).toBe("lost");
});

test("a watch that cannot even begin to connect is lost, and does not end the process", async () => {
  const { kubeconfig } = await givenMap();
  const config = JSON.parse(await readFile(kubeconfig, "utf8")) as object;
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "/no/such/program" };
  const users = [{ name: "test", user: { exec } }]; // it is asked for a token before each connection
  await writeFile(kubeconfig, JSON.stringify({ ...config, users }));
  // In a process of its own: a rejection that nobody handles would end it.
  const program = `
    import { policyConfigMap } from "./runbooks/adapters/kubernetes/config-map.ts";
    import { connectKubernetes } from "./runbooks/adapters/kubernetes/connect.ts";
    const map = policyConfigMap("runbooks/runbooks-policy", connectKubernetes("${kubeconfig}"));
    console.log(await map.changed("1", new AbortController().signal));
    await new Promise((resolve) => setTimeout(resolve, 200));`;

  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    program,
  ]);

  expect(stdout).toBe("lost\n");
});

test("stops watching when it is told to", async () => {
  const { map } = await givenMap();
  const stopping = new AbortController();
  const changed = map.changed((await map.read()).version, stopping.signal);

  stopping.abort();

  expect(await changed).toBe("look");
});

test("a missing right is named", async () => {
  const { kubernetes, map } = await givenMap();
  kubernetes.failNext({ method: "GET", status: 403 });

  await expect(map.read()).rejects.toThrow(
    "cannot read the policy's ConfigMap runbooks/runbooks-policy: forbidden (it takes the verbs list and watch for configmaps in namespace runbooks)",
  );
});
