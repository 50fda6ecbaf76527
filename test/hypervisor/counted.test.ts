import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { finished } from "./finished.ts";
import { givenHypervisor, type Hypervisor } from "./given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor();
});
afterAll(async () => api.stop());

/** The value of a series of ours: `logins_total{result="success"}`; 0 when it is not there. */
async function read(series: string): Promise<number> {
  const text = await (await fetch(`${api.url}/metrics`)).text();
  const [name = "", labels = ""] = series.split(/(?=\{)/);
  const wanted = labels
    .slice(1, -1)
    .split(",")
    .filter((each) => each !== "");
  const line = text
    .split("\n")
    .find(
      (each) =>
        each.startsWith(`arm_hypervisor_${name}{`) && wanted.every((label) => each.includes(label)),
    );
  return Number(line?.split(" ").at(-1) ?? 0);
}

/** How much a series grows by something. */
async function growthOf(series: string, act: () => Promise<unknown>): Promise<number> {
  const before = await read(series);
  await act();
  return (await read(series)) - before;
}

test("logins are counted by their result, and guesses by the limit that stopped them", async () => {
  const one = await api.person("Viewer");
  const wrong = async () => api.login(one.name, "wrong password");

  expect(await growthOf('logins_total{result="success"}', async () => api.login(one.name))).toBe(1);
  expect(await growthOf('logins_total{result="refused"}', wrong)).toBe(1);
  for (let nth = 0; nth < 4; nth += 1) await wrong();
  expect(await growthOf('logins_total{result="throttled"}', wrong)).toBe(1);
  expect(await growthOf('login_throttled_total{limit="pair"}', wrong)).toBe(1);
  expect(await growthOf('login_throttled_total{limit="account"}', wrong)).toBe(0);
  await api.database.query("DELETE FROM hypervisor_login_failures");
});

test("a refresh token that comes back is counted", async () => {
  const one = await api.person("Viewer");
  const refresh = async (agent: string) =>
    api.send("/auth/refresh", {
      method: "POST",
      as: "",
      body: { refresh_token: one.refresh },
      headers: { "user-agent": agent },
    });
  await refresh("theirs");

  expect(await growthOf("refresh_reused_total{}", async () => refresh("a thief's"))).toBe(1);
});

test("denied attempts are counted: by strangers, and by people who may not", async () => {
  const one = await api.person("guest");
  const ask = async (as: string) => api.send("/api/v1/users", { as });

  expect(await growthOf('denied_total{status="401"}', async () => ask(""))).toBe(1);
  expect(await growthOf('denied_total{status="403"}', async () => ask(one.token))).toBe(1);
});

test("operations are counted by kind and result, with their duration, and shown while they have not ended", async () => {
  const create = async (name: string) => {
    const body = { name, image: "busybox" };
    return api.send("/api/v1/containers", { method: "POST", body });
  };
  const kind = 'kind="ContainerCreated"';
  const before = await Promise.all(
    ["operations_started_total", "operation_duration_seconds_count"].map(async (name) =>
      read(`${name}{${kind}}`),
    ),
  );

  await finished(api, await create("web"));
  await api.database.query(
    `INSERT INTO hypervisor_operations (id, kind, object, resource_type, resource_id, project, actor, ip, summary, status, message)
     VALUES ('op_waits', 'ContainerDeleted', 'default/x', 'container', 'x', 'default', 'ana', '::1', 'x', 'pending', 'accepted')`,
  );

  await waitUntil(
    "the end of it",
    async () => (await read(`operations_ended_total{${kind},result="completed"}`)) === 1,
  );
  expect([
    await read(`operations_started_total{${kind}}`),
    await read(`operation_duration_seconds_count{${kind}}`),
  ]).toEqual(before.map((count) => count + 1));
  await waitUntil(
    "the one that waits",
    async () =>
      (await read('operations_unfinished{kind="ContainerDeleted",status="pending"}')) === 1,
  );
  await api.database.query("DELETE FROM hypervisor_operations WHERE id = 'op_waits'");
});
