import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../../fakes/fettle.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor();
});
afterAll(async () => api.stop());

async function post(path: string, body?: Readonly<Record<string, unknown>>) {
  return api.send(path, { method: "POST", body });
}

/** An organization's events, once there is one for this reason. */
async function eventsOf(namespace: string, reason: string): Promise<readonly unknown[]> {
  let events: Record<string, unknown>[] = [];
  await waitUntil(`${reason} in ${namespace}`, async () => {
    const { body } = await api.send(`/api/v1/events?namespace=${namespace}`);
    events = body["events"] as typeof events;
    return events.some((event) => event["reason"] === reason);
  });
  return events.map(({ type, reason: why, involved_object_kind: kind, message }) => [
    ...[type, why, kind, message],
  ]);
}

test("an organization is compared with its quotas on demand, and its people are told", async () => {
  const id = fresh("over");
  await post("/api/v1/organizations", { id, name: id, quota: { containers: 9 } });
  await post("/api/v1/vdcs", { id: `${id}-v`, organization: id, name: id, project: id });
  for (const name of ["a", "b"]) {
    const body = { name, image: "debian:12", cpus: 1 };
    await finished(api, await post(`/api/v1/containers?project=${id}`, body));
  }
  const quota = { containers: 1, memory_mb: 64 }; // since then
  await api.send(`/api/v1/vdcs/${id}-v`, { method: "PUT", body: { quota } });

  const answer = await post(`/api/v1/organizations/${id}/reconcile`);

  expect([answer.status, answer.body]).toEqual([
    200,
    {
      organization: id,
      quotas: [
        {
          ...{ kind: "VDC", id: `${id}-v`, quota },
          used: { containers: 2, cpu: 2, memory_mb: null, storage_gb: null },
          over: ["containers is 2 of 1", "memory_mb is Infinity of 64"],
        },
        {
          ...{ kind: "Organization", id, quota: { containers: 9 } },
          used: { containers: 2, cpu: 2, memory_mb: null, storage_gb: null },
          over: [],
        },
      ],
    },
  ]);
  expect(await eventsOf(id, "QuotaExceeded")).toEqual(
    expect.arrayContaining([
      [
        "Normal",
        "ReconcileForced",
        "Organization",
        `Organization ${id} was reconciled by api-token`,
      ],
      ["Warning", "QuotaExceeded", "VDC", `VDC ${id}-v: containers is 2 of 1`],
    ]),
  );
  expect((await post("/api/v1/organizations/nobody/reconcile")).status).toBe(404);
});

test("a VDC that cannot be made is an event, and no dry run is one", async () => {
  const id = fresh("vdc");
  await post("/api/v1/organizations", { id, name: id });
  const vdc = { id, organization: id, name: id, project: id };
  expect((await post("/api/v1/vdcs", vdc)).status).toBe(201);

  expect((await post("/api/v1/vdcs?dryRun=true", vdc)).status).toBe(409);
  expect((await post("/api/v1/vdcs", { ...vdc, id: `${id}-2` })).status).toBe(409);

  const why = `There is a VDC ${id}-2, or one of the project ${id}.`;
  const warnings = (await eventsOf(id, "CreationFailed")).filter((event) =>
    (event as string[]).includes("Warning"),
  );
  expect(warnings).toEqual([
    ["Warning", "CreationFailed", "VDC", `VDC ${id}-2 was not created for api-token: ${why}`],
  ]);
});
