import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Hypervisor } from "../given.ts";

const MEGABYTE = 2 ** 20;

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
});
afterAll(async () => api.stop());

const C = "/api/v1/containers";

async function post(path: string, body: unknown, as?: string) {
  return api.send(path, { method: "POST", body, as });
}

/** What the operation that was begun has made; undefined when nothing is left of it. */
async function done(path: string, body: unknown, as?: string): Promise<unknown> {
  const { status, result, error } = await finished(api, await post(path, body, as));
  if (status !== "completed") throw new Error(`not done: ${String(error)}`);
  return result;
}

async function made(more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const name = fresh("c");
  await done(C, { name, image: "debian:12", ...more });
  return name;
}

test("makes a container, tells where it is, and the record has who, what and how it ended", async () => {
  const name = fresh("web");
  const answer = await post(C, {
    name,
    image: "debian:12",
    cpus: 0.5,
    memory_bytes: 64 * MEGABYTE,
    labels: { team: "blue" },
    start: true,
  });

  expect(answer.status).toBe(202);
  const { result } = await finished(api, answer);
  expect(result).toMatchObject({
    name,
    project: "default",
    status: "running",
    image: "debian:12",
    cpus: 0.5,
    memory_bytes: 64 * MEGABYTE,
    labels: { team: "blue" },
    node: null,
  });
  const read = await api.send(`${C}/${name}`);
  expect(read.body).toEqual(result);
  expect(read.headers.get("etag")).toMatch(/^"[0-9a-f]{32}"$/);
  const rows = (await api.rows()).filter(({ target }) => target.endsWith(`/${name}`));
  expect(rows.map(({ event, result, actor }) => [event, result, actor])).toEqual([
    ["ContainerCreated", "Started", "api-token"],
    ["ContainerCreated", "Success", "api-token"],
  ]);
});

test("refuses what cannot be a container, naming the field, before the backend is asked", async () => {
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ image: "x" }, /name/],
    [{ name: "../etc", image: "x" }, /name: must be/],
    [{ name: "a", image: "x", privileged: true }, /unknown parameter privileged/],
    [{ name: "a", image: "x", memory_bytes: 1 }, /memory_bytes/],
    [{ name: "a", image: "x", cpus: -1 }, /cpus/],
    [{ name: "a", image: "../../x" }, /image: is no image's reference/],
    [{ name: "a", image: "x", labels: { "fettle.project": "other" } }, /labels.fettle.project/],
    [{ name: "a", image: "x", labels: { a: "y".repeat(257) } }, /labels.a/],
    [{ name: "a", image: "x", environment: { "A=B": "c" } }, /environment.A=B/],
    [
      { name: "a", image: "x", environment: { A: "b\nlxc.hook.start = /x" } },
      /environment.A: must/,
    ],
    [{ name: "a", image: "x", labels: { a: "b\r" } }, /labels.a: must/],
    [{ name: "a", image: "x", command: ["sh", "a\nb"] }, /command.*: must/],
    [{ name: "a", image: "localhost/fettle-snapshot/0a1b:s1" }, /image: must be no snapshot/],
    [{ name: "a", image: "LocalHost/fettle-base:0a1b" }, /image: must be no snapshot/],
  ];
  const answers = await Promise.all(bad.map(async ([body]) => post(C, body)));

  expect(answers.map(({ status }) => status)).toEqual(bad.map(() => 400));
  for (const [at, [, expected]] of bad.entries()) expect(answers[at]?.detail).toMatch(expected);
  expect((await api.send(`${C}?nonsense=1`)).status).toBe(400);
  expect((await api.send(`${C}/..%2f..%2fimages`)).status).toBe(400);
  expect((await api.send(`${C}/a?project=..`)).status).toBe(400);
});

test("lists by project, status and page", async () => {
  const project = fresh("p");
  const names = ["a1", "a2", "a3", "a4", "a5"];
  for (const name of names)
    await done(`${C}?project=${project}`, { name, image: "x", start: name === "a2" });
  const of = async (query: string) => {
    const { body } = await api.send(`${C}?project=${project}${query}`);
    const list = body["containers"] as readonly { readonly name: string }[];
    return { names: list.map(({ name }) => name), total: body["total"], next: body["next"] };
  };

  expect(await of("")).toEqual({ names, total: 5, next: null });
  expect(await of("&status=running")).toEqual({ names: ["a2"], total: 1, next: null });
  const first = await of("&limit=2");
  expect(first).toEqual({ names: ["a1", "a2"], total: 5, next: `${project}/a2` });
  expect(await of(`&limit=3&after=${encodeURIComponent(String(first.next))}`)).toEqual({
    names: ["a3", "a4", "a5"],
    total: 5,
    next: null,
  });
});

test("changes limits only of the version that was looked at", async () => {
  const name = await made({ cpus: 1 });
  const etag = (await api.send(`${C}/${name}`)).headers.get("etag") ?? "";
  const patch = async (body: object, ifMatch?: string) =>
    api.send(`${C}/${name}`, {
      method: "PATCH",
      body,
      headers: ifMatch === undefined ? {} : { "if-match": ifMatch },
    });

  const changed = await patch({ cpus: 2 }, etag);

  expect(changed).toMatchObject({ status: 200, body: { cpus: 2, memory_bytes: null } });
  expect(changed.headers.get("etag")).not.toBe(etag);
  expect((await patch({ cpus: 3 }, etag)).status).toBe(412);
  expect((await patch({ cpus: 4 })).body["cpus"]).toBe(4);
  expect((await patch({})).status).toBe(400);
  expect((await patch({ image: "other" })).detail).toContain("unknown parameter image");
});

test("acts, and each action has its own name in the record", async () => {
  const name = await made();
  const act = async (action: string) => post(`${C}/${name}/action`, { action });
  const statuses: unknown[] = [];
  for (const action of ["start", "pause", "resume", "restart", "stop"])
    statuses.push((await act(action)).body["status"]);

  expect(statuses).toEqual(["running", "paused", "running", "running", "stopped"]);
  expect(await act("restart")).toMatchObject({
    status: 409,
    detail: `cannot restart container ${name}: it is stopped.`,
  });
  expect((await act("explode")).status).toBe(400);
  const succeeded = (await api.rows()).filter(
    ({ target, result }) => target.endsWith(`/${name}`) && result === "Success",
  );
  expect(succeeded.map(({ event }) => event)).toEqual([
    ...["ContainerCreated", "ContainerStarted", "ContainerPaused", "ContainerResumed"],
    ...["ContainerRestarted", "ContainerStopped"],
  ]);
});

test("a dry run tells what would be refused and does nothing", async () => {
  const name = await made();
  const dry = async (action: string) => post(`${C}/${name}/action?dryRun=true`, { action });

  expect(await dry("start")).toMatchObject({ status: 200, body: { dry_run: true } });
  expect((await dry("restart")).status).toBe(409);
  expect((await post(`${C}?dryRun=true`, { name, image: "x" })).status).toBe(409);
  expect((await api.send(`${C}/${name}?dryRun=true`, { method: "DELETE" })).status).toBe(200);
  expect((await api.send(`${C}/${name}`)).body["status"]).toBe("stopped");
});

test("removes a running container only by force", async () => {
  const name = await made({ start: true });
  const remove = async (query: string) => api.send(`${C}/${name}${query}`, { method: "DELETE" });

  expect((await remove("")).status).toBe(409);
  expect(await finished(api, await remove("?force=true"))).toMatchObject({ status: "completed" });
  expect((await remove("")).status).toBe(404);
});

test("shows the newest lines of a log", async () => {
  const name = await made({ start: true });
  await post(`${C}/${name}/action`, { action: "restart" });

  const { body } = await api.send(`${C}/${name}/logs?tail=1`);

  expect(body).toMatchObject({
    container: name,
    lines: [{ stream: "stdout", text: "restart: done" }],
  });
  expect((await api.send(`${C}/${name}/logs?tail=0`)).status).toBe(400);
  expect((await api.send(`${C}/${name}/logs?tail=1001`)).status).toBe(400);
  expect((await api.send(`${C}/${name}/logs?follow=true`)).status).toBe(400);
});

test("an operator starts and stops but neither makes, changes nor removes", async () => {
  const name = await made();
  const { token: as } = await api.person("Operator");

  expect((await post(`${C}/${name}/action`, { action: "start" }, as)).status).toBe(200);
  expect((await post(`${C}/${name}/action`, { action: "restart" }, as)).status).toBe(200);
  await done(`${C}/${name}/snapshots`, { name: "s1" }, as);
  const refused = [
    await post(C, { name: "x", image: "x" }, as),
    await api.send(`${C}/${name}`, { method: "PATCH", body: { cpus: 1 }, as }),
    await api.send(`${C}/${name}?force=true`, { method: "DELETE", as }),
    await post(
      `${C}/${name}/snapshots/clone`,
      { snapshot_name: "s1", new_container_name: "copy" },
      as,
    ),
  ];
  expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
});

test("who may only start may not restart", async () => {
  const name = await made({ start: true });
  const { token: as } = await api.person("Custom", { permissions: ["container:start"] });

  const refused = await post(`${C}/${name}/action`, { action: "restart" }, as);
  expect(refused.status).toBe(403);
  expect(refused.detail).toContain("container:stop");
  expect((await post(`${C}/${name}/action`, { action: "start" }, as)).status).toBe(200);
});

test("a tenant sees and touches its own project only, within its quota", async () => {
  const side = fresh("org");
  await post("/api/v1/organizations", { id: side, name: side });
  const quota = { containers: 2, cpu: 2, memory_mb: 128 };
  const vdc = { id: `${side}-v`, organization: side, name: side, project: `${side}-p`, quota };
  await post("/api/v1/vdcs", vdc);
  const foreign = await made();
  const { token: as } = await api.person("OrgAdmin", { organization: side });
  const at = `?project=${side}-p`;
  const limits = { image: "x", cpus: 1, memory_bytes: 64 * MEGABYTE };

  await done(`${C}${at}`, { name: "one", ...limits }, as);
  const unlimited = await post(`${C}${at}`, { name: "two", image: "x" }, as);
  expect(unlimited).toMatchObject({
    status: 403,
    detail: `VDC ${side}-v: cpu would be Infinity of 2`,
  });
  await done(`${C}${at}`, { name: "two", ...limits }, as);
  expect((await post(`${C}${at}`, { name: "three", ...limits }, as)).detail).toBe(
    `VDC ${side}-v: containers would be 3 of 2`,
  );
  const grown = { method: "PATCH", body: { cpus: 2 }, as };
  expect((await api.send(`${C}/one${at}`, grown)).status).toBe(403);
  const { body } = await api.send(C, { as });
  expect((body["containers"] as { name: string }[]).map(({ name }) => name)).toEqual([
    "one",
    "two",
  ]);
  const swapped = await Promise.all([
    api.send(`${C}/${foreign}`, { as }),
    api.send(`${C}/${foreign}/logs`, { as }),
    api.send(`${C}/${foreign}?force=true`, { method: "DELETE", as }),
    post(`${C}/${foreign}/action`, { action: "start" }, as),
    post(`${C}/${foreign}/snapshots`, {}, as),
    api.send(`${C}?project=default`, { as }),
  ]);
  expect(swapped.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404, 404]);
});

test("a tenant chooses neither bridge nor pool, by itself or in a template; the platform's people do", async () => {
  const side = fresh("org");
  await post("/api/v1/organizations", { id: side, name: side });
  const vdc = { id: `${side}-v`, organization: side, name: side, project: `${side}-p` };
  expect((await post("/api/v1/vdcs", { ...vdc, quota: {} })).status).toBe(201);
  const { token: as } = await api.person("OrgAdmin", { organization: side });
  const at = `?project=${side}-p`;
  const body = { name: "x", image: "x" };
  const template = fresh("t");
  await post("/api/v1/templates", { name: template, spec: { image: "x", bridge: "br0" } });

  const refused = [
    await post(`${C}${at}`, { ...body, bridge: "host" }, as),
    await post(`${C}${at}`, { ...body, pool: "fast" }, as),
    await post(`/api/v1/templates/${template}/containers${at}`, { name: "x" }, as),
  ];

  expect(refused.map(({ status, detail }) => [status, detail])).toEqual(
    ["bridge", "pool", "bridge"].map((field) => [
      403,
      `${field}: only the platform's people choose one; leave it out.`,
    ]),
  );
  const dry = await post(`${C}${at}&dryRun=true`, { ...body, bridge: "br0", pool: "fast" });
  expect(dry.status).toBe(200);
});

test("counts containers and bridges for Prometheus, and says that the backend answers", async () => {
  await made({ start: true });
  const response = await fetch(`${api.url}/metrics`);
  const text = await response.text();
  const value = (name: string) =>
    Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)$`, "m").exec(text)?.[1]);

  expect(value("arm_hypervisor_containers_running")).toBeGreaterThan(0);
  expect(value("arm_hypervisor_containers_total")).toBe(
    value("arm_hypervisor_containers_running") +
      value("arm_hypervisor_containers_stopped") +
      value("arm_hypervisor_containers_paused"),
  );
  expect(value("arm_hypervisor_bridges_total")).toBe(1);
  expect(text).toMatch(/^arm_hypervisor_backend_up\{backend="memory",.*\} 1$/m);
  expect((await api.send("/health")).body["checks"]).toMatchObject({ backend: { ok: true } });
});
