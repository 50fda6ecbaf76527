import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startKubernetes, type Kubernetes } from "../../fakes/kubernetes.ts";
import { writeKubeconfig, type Kubeconfig } from "../../fakes/kubeconfig.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Hypervisor } from "../given.ts";

const C = "/api/v1/containers";

type Shown = Readonly<Record<string, string | number>>;

let kubernetes: Kubernetes;
let kubeconfig: Kubeconfig;
let api: Hypervisor;
beforeAll(async () => {
  kubernetes = await startKubernetes({ deployments: [] });
  kubeconfig = await writeKubeconfig(kubernetes);
  api = await givenHypervisor({
    HYPERVISOR_BACKEND: "memory",
    HYPERVISOR_EVENT_TTL_SECONDS: "600",
    HYPERVISOR_EVENTS_KUBERNETES_NAMESPACE: "shop",
    KUBECONFIG: kubeconfig.path,
  });
});
afterAll(async () => {
  await api.stop();
  await kubernetes.stop();
  await kubeconfig.remove();
});

async function post(path: string, body: unknown, as?: string) {
  return api.send(path, { method: "POST", body, as });
}

async function events(query = "", as?: string): Promise<readonly Shown[]> {
  return (await api.send(`/api/v1/events${query}`, { as })).body["events"] as Shown[];
}

/** The newest events about an object, once `reason` is among them. */
async function about(name: string, reason: string, count = 1): Promise<readonly Shown[]> {
  let found: readonly Shown[] = [];
  await waitUntil(`${reason} of ${name}`, async () => {
    found = (await events("?limit=200")).filter((each) => each["involved_object_name"] === name);
    return found.some((each) => each["reason"] === reason && each["count"] === count);
  });
  return found;
}

test("an event has the shape that its readers know, and equal ones are one that is counted", async () => {
  const name = fresh("vm");
  await finished(api, await post(C, { name, image: "debian:12", start: true }));
  for (const action of ["stop", "start", "stop", "start"])
    await post(`${C}/${name}/action`, { action });

  const found = await about(name, "VMStopped", 2);
  expect(found.map(({ reason, count }) => [reason, count]).toSorted()).toEqual([
    ["VMCreated", 1],
    ["VMStarted", 2],
    ["VMStopped", 2],
  ]);
  const stopped = found.find(({ reason }) => reason === "VMStopped");
  expect(stopped).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    name: expect.stringMatching(new RegExp(`^${name}\\.[0-9a-f]{16}$`)),
    namespace: "fettle-system",
    type: "Normal",
    reason: "VMStopped",
    message: `VM ${name} was stopped by api-token`,
    component: "fettle-hypervisor",
    involved_object_kind: "VM",
    involved_object_name: name,
    first_timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    last_timestamp: expect.stringMatching(/Z$/),
    count: 2,
  });
});

test("what fails is a warning with the backend's words", async () => {
  const name = fresh("taken");
  await finished(api, await post(C, { name, image: "debian:12" }));
  await finished(api, await post(`${C}/${name}/snapshots`, { name: "s" }));
  const [one, other] = await Promise.all([
    post(`${C}/${name}/snapshots/clone`, { snapshot_name: "s", new_container_name: `${name}-2` }),
    post(`${C}/${name}/snapshots/clone`, { snapshot_name: "s", new_container_name: `${name}-3` }),
  ]);
  await Promise.all([finished(api, one), finished(api, other)]);
  await api.database.query(
    `INSERT INTO hypervisor_operations (id, kind, object, resource_type, resource_id, project, actor, ip, summary, work, status)
     VALUES ('op_again', 'ContainerCreated', $1, 'container', $2, 'default', 'ana', '', 'Made it', $3, 'pending')`,
    [
      `default/${name}`,
      name,
      { verb: "create", project: "default", name, image: "debian:12", start: false },
    ],
  );

  const [failed] = await about(name, "ProvisioningFailed");
  expect(failed).toMatchObject({
    type: "Warning",
    message: `VM ${name} was not created for ana: there is a container ${name} already.`,
  });
});

test("pages and filters, within limits", async () => {
  const id = fresh("org");
  await post("/api/v1/organizations", { id, name: id });
  await about(id, "OrganizationCreated");

  const { body } = await api.send("/api/v1/events?limit=1&page=2");
  expect([body["page"], body["page_size"], (body["events"] as object[]).length]).toEqual([2, 1, 1]);
  expect(Number(body["total_count"])).toBeGreaterThan(2);
  const types = async (query: string) => [
    ...new Set((await events(query)).map(({ type }) => type)),
  ];
  expect([await types("?type=Warning"), await types("?type=Normal")]).toEqual([
    ["Warning"],
    ["Normal"],
  ]);
  expect((await events(`?namespace=${id}`)).map(({ reason }) => reason)).toEqual([
    "OrganizationCreated",
  ]);
  expect(await events("?component=somebody-else")).toEqual([]);
  expect((await events("/recent?limit=2")).length).toBe(2);
  const refused = ["?limit=201", "/recent?limit=51", "?page=0", "?type=Bad", "?sort=x"];
  const answers = await Promise.all(refused.map(async (q) => api.send(`/api/v1/events${q}`)));
  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400, 400]);
});

test("an organization's admin sees its events, its users their own, and others' nobody", async () => {
  for (const side of ["ev-a", "ev-b"]) {
    await post("/api/v1/organizations", { id: side, name: side });
    await post("/api/v1/vdcs", {
      id: `${side}-v`,
      organization: side,
      name: side,
      project: `${side}-p`,
    });
  }
  const admin = await api.person("OrgAdmin", { organization: "ev-a" });
  const user = await api.person("OrgUser", { organization: "ev-a" });
  const other = await api.person("OrgAdmin", { organization: "ev-b" });
  const name = fresh("vm");
  await finished(api, await post(`${C}?project=ev-a-p`, { name, image: "debian:12" }, admin.token));
  await post(`${C}/${name}/action?project=ev-a-p`, { action: "start" }, user.token);
  await post(`${C}/${name}/action?project=ev-a-p`, { action: "stop" }); // the platform's people
  await about(name, "VMStopped");

  const seen = async (as: string) => (await events("", as)).map(({ reason }) => reason).toSorted();
  expect(await seen(admin.token)).toEqual([
    ...["OrganizationCreated", "VDCCreated", "VMCreated", "VMStarted", "VMStopped"],
  ]);
  expect(await seen(user.token)).toEqual(["VMStarted"]);
  expect(await seen(other.token)).toEqual(["OrganizationCreated", "VDCCreated"]);
  expect(await events("?namespace=ev-a", other.token)).toEqual([]);
});

test("a cluster shows them too, with the count, and a cluster that refuses costs nothing but a count", async () => {
  const name = fresh("mirror");
  await finished(api, await post(C, { name, image: "debian:12" }));
  for (const action of ["start", "stop", "start"]) await post(`${C}/${name}/action`, { action });
  const [started] = (await about(name, "VMStarted", 2)).filter(
    (each) => each["reason"] === "VMStarted",
  );
  const target = {
    namespace: "shop",
    group: "",
    resource: "events",
    name: String(started?.["name"]),
  } as const;

  await waitUntil("the count in the cluster", async () =>
    Promise.resolve(kubernetes.read(target)?.["count"] === 2),
  );
  expect(kubernetes.read(target)).toMatchObject({
    type: "Normal",
    reason: "VMStarted",
    involvedObject: { kind: "VM", name, namespace: "shop" },
    source: { component: "fettle-hypervisor" },
  });

  kubernetes.failNext({ method: "POST", status: 403 });
  await post("/api/v1/organizations", { id: name, name });
  await about(name, "OrganizationCreated");
  await waitUntil("the failure to be counted", async () =>
    (await (await fetch(`${api.url}/metrics`)).text()).includes(
      'arm_hypervisor_events_failed_total{to="kubernetes",service="hypervisor"} 1',
    ),
  );
});

test("old ones are not shown, and one that comes again begins anew", async () => {
  const name = fresh("old");
  await finished(api, await post(C, { name, image: "debian:12" }));
  await post(`${C}/${name}/action`, { action: "start" });
  await about(name, "VMStarted");
  await api.database.query(
    "UPDATE hypervisor_events SET first_at = first_at - interval '1 hour', last_at = last_at - interval '1 hour', count = 7 WHERE name = $1",
    [name],
  );
  expect(
    (await events("?limit=200")).filter((each) => each["involved_object_name"] === name),
  ).toEqual([]);

  await post(`${C}/${name}/action`, { action: "restart" }); // another message: another event
  await post(`${C}/${name}/action`, { action: "stop" });
  await post(`${C}/${name}/action`, { action: "start" });
  const found = await about(name, "VMStopped");
  expect(found.every(({ count }) => count === 1)).toBe(true);
});
