import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { startKubernetes, type Kubernetes } from "../../../cli/demo/kubernetes.ts";
import { patch, raw } from "./given.ts";

const CORE = "/api/v1/namespaces/default";

let api: Kubernetes;
beforeEach(async () => {
  const web = { namespace: "default", name: "web", replicas: 2 };
  api = await startKubernetes({
    token: "admin",
    readOnlyToken: "look",
    deployments: [web],
    statefulsets: [{ ...web, name: "db" }],
    daemonsets: [{ ...web, name: "agent" }],
    readyAfterMs: 20,
  });
});
afterEach(async () => {
  await api.stop();
});

interface Named {
  readonly items: readonly { readonly metadata: { readonly name: string } }[];
}

async function podNames(app: string): Promise<readonly string[]> {
  const { body } = await raw(api, `${CORE}/pods?labelSelector=app%3D${app}`);
  return (body as Named).items.map(({ metadata }) => metadata.name);
}

function post(body: object): RequestInit {
  return { method: "POST", body: JSON.stringify(body) };
}

/** The bodies of a watch are lines, which are no JSON document together. */
async function watchLines(query: string, meanwhile?: () => Promise<void>) {
  const response = await fetch(`${api.url}${CORE}/configmaps?watch=1&timeoutSeconds=1&${query}`, {
    headers: { authorization: "Bearer admin" },
  });
  await meanwhile?.();
  const lines = (await response.text()).trim().split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { type: string; object: Record<string, unknown> });
}

const POLICY = { metadata: { name: "policy", namespace: "default" }, data: { a: "1" } };

test("StatefulSets name their pods by number, DaemonSets count their nodes", async () => {
  expect(await podNames("db")).toEqual(["db-0", "db-1"]);
  expect(await podNames("agent")).toHaveLength(2);
  expect(await raw(api, "/apis/apps/v1/namespaces/default/daemonsets/agent")).toMatchObject({
    body: { kind: "DaemonSet", status: { desiredNumberScheduled: 2, numberAvailable: 2 } },
  });
  expect(
    await raw(
      api,
      "/apis/apps/v1/namespaces/default/statefulsets/db/scale",
      patch({ spec: { replicas: 3 } }),
    ),
  ).toMatchObject({ status: 200, body: { kind: "Scale", spec: { replicas: 3 } } });
});

test("a watch tells what comes, changes and goes, and ends cleanly", async () => {
  const path = `${CORE}/configmaps`;
  const events = await watchLines("resourceVersion=0&allowWatchBookmarks=true", async () => {
    await raw(api, path, post(POLICY));
    await raw(api, `${path}/policy`, patch({ data: { a: null, b: "2" } }));
    await raw(api, `${path}/policy`, { method: "DELETE" });
  });

  expect(events).toMatchObject([
    { type: "ADDED", object: { kind: "ConfigMap", apiVersion: "v1", data: { a: "1" } } },
    { type: "MODIFIED", object: { data: { b: "2" } } },
    { type: "DELETED", object: { metadata: { name: "policy" } } },
    { type: "BOOKMARK", object: { metadata: { resourceVersion: expect.any(String) } } },
  ]);
  expect(events[1]?.object["data"]).toEqual({ b: "2" });
});

test("a watch from a version tells only what came after it, and 410 when that is forgotten", async () => {
  api.put("configmaps", POLICY);
  const { body } = await raw(api, `${CORE}/configmaps`);
  const { metadata } = body as { metadata: { resourceVersion: string } };
  api.put("configmaps", { ...POLICY, data: { a: "later" } });

  const events = await watchLines(`resourceVersion=${metadata.resourceVersion}`);
  for (let count = 0; count < 2_000; count += 1)
    api.put("configmaps", { ...POLICY, data: { a: String(count) } });

  expect(events).toMatchObject([{ type: "MODIFIED", object: { data: { a: "later" } } }]);
  expect(await watchLines(`resourceVersion=${metadata.resourceVersion}`)).toMatchObject([
    { type: "ERROR", object: { code: 410, reason: "Expired" } },
  ]);
});

test("who may not list may not watch", async () => {
  expect(await raw(api, `${CORE}/configmaps?watch=1`, {}, "wrong")).toMatchObject({ status: 401 });
});

test("a ConfigMap's keys are file names: a star is refused, as by the real server", async () => {
  const refused = await raw(
    api,
    `${CORE}/configmaps`,
    post({ ...POLICY, data: { "shop.*": "x" } }),
  );

  expect(refused).toMatchObject({
    status: 422,
    body: {
      message: expect.stringContaining(
        'ConfigMap "policy" is invalid: data[shop.*]: Invalid value',
      ),
    },
  });
  expect(api.mutations()).toEqual([]);
});

test("an object of a name that is taken is 409, and its dry run stores nothing", async () => {
  expect(await raw(api, `${CORE}/configmaps?dryRun=All`, post(POLICY))).toMatchObject({
    status: 201,
  });
  expect(await raw(api, `${CORE}/configmaps`, post(POLICY))).toMatchObject({ status: 201 });
  expect(await raw(api, `${CORE}/configmaps`, post(POLICY))).toMatchObject({
    status: 409,
    body: { reason: "AlreadyExists" },
  });
  expect(api.mutations()).toHaveLength(1);
});

test("a disruption budget counts ready pods, and refuses with its cause when it is used up", async () => {
  const [name = "", other = ""] = await podNames("web");
  api.put("poddisruptionbudgets", {
    metadata: { name: "web", namespace: "default" },
    spec: { maxUnavailable: "50%", selector: { matchLabels: { app: "web" } } },
  });
  const budget = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web";
  const evict = (pod: string) =>
    raw(
      api,
      `${CORE}/pods/${pod}/eviction`,
      post({ apiVersion: "policy/v1", kind: "Eviction", metadata: { name: pod } }),
    );
  expect(await raw(api, budget)).toMatchObject({
    body: { status: { desiredHealthy: 1, currentHealthy: 2, disruptionsAllowed: 1 } },
  });

  api.setReadyAfterMs(Infinity);
  expect(await evict(name)).toMatchObject({ status: 201 });
  expect(await evict(other)).toEqual({
    status: 429,
    body: {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      reason: "TooManyRequests",
      details: {
        causes: [
          {
            reason: "DisruptionBudget",
            message: "The disruption budget web needs 1 healthy pods and has 1 currently",
          },
        ],
      },
      code: 429,
    },
  });
  expect(api.mutations()).toHaveLength(1);
});

test("a pod that is not ready guards nothing, and may go", async () => {
  const [sick = ""] = await podNames("web");
  api.put("poddisruptionbudgets", {
    metadata: { name: "web", namespace: "default" },
    spec: { minAvailable: 1, selector: { matchLabels: { app: "web" } } },
  });
  api.setPodReady("default", sick, false);

  const answer = await raw(
    api,
    `${CORE}/pods/${sick}/eviction`,
    post({ metadata: { name: sick } }),
  );

  expect(answer).toMatchObject({ status: 201 });
});

test("logs, events by their object, and objects that only exist are served", async () => {
  const [name = ""] = await podNames("web");
  api.setPodLog("default", name, "first\nsecond\n");
  for (const [event, pod] of [
    ["e1", name],
    ["e2", "another"],
  ] as const)
    api.put("events", {
      metadata: { name: event, namespace: "default" },
      involvedObject: { kind: "Pod", name: pod },
      reason: "BackOff",
    });

  expect(await raw(api, `${CORE}/pods/${name}/log`)).toMatchObject({ body: "first\nsecond\n" });
  const { body } = await raw(api, `${CORE}/events?fieldSelector=involvedObject.name%3D${name}`);
  expect((body as Named).items).toMatchObject([{ metadata: { name: "e1" }, reason: "BackOff" }]);
});
