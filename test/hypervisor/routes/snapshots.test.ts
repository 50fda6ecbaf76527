import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Answer, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
});
afterAll(async () => api.stop());

const C = "/api/v1/containers";

async function post(path: string, body: unknown): Promise<Answer> {
  return api.send(path, { method: "POST", body });
}

async function container(): Promise<string> {
  const name = fresh("c");
  await finished(api, await post(C, { name, image: "debian:12", labels: { tier: "web" } }));
  return name;
}

test("takes, lists, restores, clones and deletes snapshots, with a row of each in the record", async () => {
  const name = await container();
  const S = `${C}/${name}/snapshots`;
  const taken = await finished(api, await post(S, { name: "s1", comment: "before the upgrade" }));
  const unnamed = await finished(api, await post(S, {}));
  const copy = fresh("copy");
  const clone = await finished(
    api,
    await post(`${S}/clone`, { snapshot_name: "s1", new_container_name: copy }),
  );
  const restored = await finished(api, await post(`${S}/restore`, { snapshot_name: "s1" }));

  expect(taken).toMatchObject({
    status: "completed",
    result: { name: "s1", container: name, comment: "before the upgrade", size_bytes: null },
  });
  expect((unnamed["result"] as { readonly name: string }).name).toMatch(/^snap-\d{8}-\d{6}$/);
  expect(clone["result"]).toMatchObject({
    name: copy,
    status: "stopped",
    labels: { tier: "web" },
  });
  expect(restored["result"]).toMatchObject({ name });
  expect((await api.send(S)).body).toMatchObject({ total: 2, snapshots: [{ name: "s1" }, {}] });
  const removed = await api.send(`${S}/s1`, { method: "DELETE" });
  expect(await finished(api, removed)).toMatchObject({ status: "completed" });
  expect((await api.send(S)).body["total"]).toBe(1);
  const rows = (await api.rows()).filter(
    ({ target, result }) => target.includes(`/${name}/`) && result === "Success",
  );
  expect(rows.map(({ event }) => event)).toEqual([
    ...["SnapshotCreated", "SnapshotCreated", "SnapshotCloned", "SnapshotRestored"],
    "SnapshotDeleted",
  ]);
});

test("refuses what is not there, or there already, before an operation is begun, also in a dry run", async () => {
  const name = await container();
  const S = `${C}/${name}/snapshots`;
  await finished(api, await post(S, { name: "s1" }));
  const answers = [
    await post(S, { name: "s1" }),
    await post(`${S}?dryRun=true`, { name: "s1" }),
    await post(`${S}/restore`, { snapshot_name: "s9" }),
    await post(`${S}/clone`, { snapshot_name: "s9", new_container_name: "x" }),
    await post(`${S}/clone`, { snapshot_name: "s1", new_container_name: name }),
    await api.send(`${S}/s9`, { method: "DELETE" }),
    await post(`${C}/nobody/snapshots`, {}),
    await post(S, { name: "../s" }),
    await api.send(`${S}/..%2fs1`, { method: "DELETE" }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([
    409, 409, 404, 404, 409, 404, 404, 400, 400,
  ]);
});
