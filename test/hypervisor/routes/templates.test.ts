import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Hypervisor } from "../given.ts";

const T = "/api/v1/templates";
const SPEC = {
  image: "debian:12",
  cpus: 1,
  labels: { team: "blue", tier: "web" },
  environment: { TOKEN: "hush" },
};

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
});
afterAll(async () => api.stop());

async function post(path: string, body: unknown, as?: string) {
  return api.send(path, { method: "POST", body, as });
}

test("a template is made, changed under its version and deleted; only its writers read its environment", async () => {
  const name = fresh("t");
  const made = await post(T, { name, spec: SPEC });
  expect([made.status, made.headers.get("location")]).toEqual([201, `${T}/${name}`]);
  expect(made.body).toMatchObject({ name, description: "", spec: SPEC });
  const viewer = await api.person("Viewer");
  const read = await api.send(`${T}/${name}`, { as: viewer.token });
  expect(read.body["spec"]).toEqual({ ...SPEC, environment: { TOKEN: "[hidden]" } });
  const list = await api.send(T, { as: viewer.token });
  expect(JSON.stringify(list.body)).not.toContain("hush");

  const put = async (etag: string) =>
    api.send(`${T}/${name}`, {
      method: "PUT",
      body: { description: "new", spec: { image: "alpine:3" } },
      headers: { "if-match": etag },
    });
  expect((await put(made.headers.get("etag") ?? "")).body).toMatchObject({
    description: "new",
    spec: { image: "alpine:3" },
  });
  expect((await put(made.headers.get("etag") ?? "")).status).toBe(412);
  const refused = [
    await post(T, { name, spec: SPEC }),
    await post(T, { name: "x", spec: { ...SPEC, privileged: true } }),
    await post(T, { name: fresh("t"), spec: SPEC }, viewer.token),
  ];
  expect(refused.map(({ status }) => status)).toEqual([409, 400, 403]);
  expect((await api.send(`${T}/${name}`, { method: "DELETE" })).status).toBe(204);
  expect((await api.send(`${T}/${name}`)).status).toBe(404);
});

test("a container of a template has its content, with what was given going first", async () => {
  const template = fresh("t");
  await post(T, { name: template, spec: SPEC });
  const name = fresh("c");
  const body = { name, cpus: 2, labels: { tier: "db" }, start: true };

  const dry = await post(`${T}/${template}/containers?dryRun=true`, body);
  expect(dry.body).toMatchObject({ dry_run: true, action: "ContainerCreated" });
  const { result } = await finished(api, await post(`${T}/${template}/containers`, body));
  expect(result).toMatchObject({
    name,
    image: "debian:12",
    cpus: 2,
    labels: { team: "blue", tier: "db" },
    status: "running",
  });
  const again = await post(`${T}/${template}/containers`, body);
  expect([again.status, again.detail]).toEqual([409, `There is a container ${name} already.`]);
  expect((await post(`${T}/none/containers`, body)).status).toBe(404);
});

test("what would be refused of a container is refused in a template, and one of older rules is still shown", async () => {
  const spec = { image: "x", environment: { A: "b\nc" } };
  const refused = [
    await post(T, { name: fresh("t"), spec }),
    await post(T, { name: fresh("t"), spec: { image: "localhost/fettle-snapshot/0a1b:s1" } }),
  ];
  expect(refused.map(({ status }) => status)).toEqual([400, 400]);
  const old = fresh("t");
  await api.database.query("INSERT INTO hypervisor_templates (name, spec) VALUES ($1, $2)", [
    old,
    JSON.stringify(spec),
  ]);
  expect((await api.send(`${T}/${old}`)).body).toMatchObject({ name: old, spec });
  await api.send(`${T}/${old}`, { method: "DELETE" });
});
