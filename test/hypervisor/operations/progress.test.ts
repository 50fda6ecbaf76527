import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import { waitUntil } from "../../fakes/fettle.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, STATIC_TOKEN, type Answer, type Hypervisor } from "../given.ts";

const C = "/api/v1/containers";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
});
afterAll(async () => api.stop());

async function post(path: string, body: unknown, more: object = {}) {
  return api.send(path, { method: "POST", body, ...more });
}

async function made(name = fresh("c"), more: object = {}) {
  return finished(api, await post(C, { name, image: "debian:12", ...more }));
}

async function rowsAbout(id: string) {
  return (await api.rows()).filter(({ target }) => target.endsWith(`/${id}`));
}

test("a long request is accepted, done, and on record from its beginning to its end", async () => {
  const name = fresh("web");
  const answer = await post(
    C,
    { name, image: "debian:12", start: true, environment: { KEY: "hush" } },
    { headers: { "x-correlation-id": `corr-${name}` } },
  );

  expect([answer.status, answer.body["status"]]).toEqual([202, "pending"]);
  expect(answer.headers.get("location")).toBe(`/progress/${String(answer.body["workflow_id"])}`);
  expect(await finished(api, answer)).toMatchObject({
    kind: "ContainerCreated",
    status: "completed",
    percent_complete: 100,
    resource_id: name,
    project: "default",
    started_by: "api-token",
    correlation_id: `corr-${name}`,
    result: { name, status: "running" },
    error: null,
  });
  expect(
    (await rowsAbout(name)).map(({ event, result, correlation }) => [event, result, correlation]),
  ).toEqual([
    ["ContainerCreated", "Started", `corr-${name}`],
    ["ContainerCreated", "Success", `corr-${name}`],
  ]);
  const { body } = await api.send(`${answer.headers.get("location") ?? ""}/history`);
  expect(
    (body["history"] as { status: string; message: string }[]).map((line) => line.message),
  ).toEqual(["accepted", "begun", "made; it is being started", "done"]);
  const kept = await api.database.query(
    "SELECT work FROM hypervisor_operations WHERE resource_id = $1",
    [name],
  );
  expect(kept.rows).toEqual([{ work: null }]); // its environment was in it
});

test("every verb of snapshots is an operation, and what the backend refuses ends it in its words", async () => {
  const name = fresh("snap");
  await made(name);
  const S = `${C}/${name}/snapshots`;

  const taken = await finished(api, await post(S, { name: "s1", comment: "before" }));
  expect(taken).toMatchObject({
    kind: "SnapshotCreated",
    status: "completed",
    result: { name: "s1", container: name, comment: "before" },
  });
  const restored = await finished(api, await post(`${S}/restore`, { snapshot_name: "s1" }));
  expect(restored).toMatchObject({ kind: "SnapshotRestored", result: { name } });
  const clone = { snapshot_name: "s1", new_container_name: `${name}-2` };
  expect(await finished(api, await post(`${S}/clone`, clone))).toMatchObject({
    kind: "SnapshotCloned",
    result: { name: `${name}-2`, status: "stopped" },
  });
  expect(await finished(api, await api.send(`${S}/s1`, { method: "DELETE" }))).toMatchObject({
    kind: "SnapshotDeleted",
    status: "completed",
    result: null,
  });
  expect((await api.send(S)).body["total"]).toBe(0);
  expect(await finished(api, await api.send(`${C}/${name}`, { method: "DELETE" }))).toMatchObject({
    kind: "ContainerDeleted",
    status: "completed",
  });
  expect((await api.send(`${C}/${name}`)).status).toBe(404);
});

test("the same Idempotency-Key gets the same operation, and a dry run begins none", async () => {
  const name = fresh("key");
  const body = { name, image: "debian:12" };
  const headers = { "idempotency-key": fresh("k") };
  const first = await post(C, body, { headers });
  await finished(api, first);

  const again = await post(C, body, { headers });
  expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([202, "true"]);
  expect(again.body["workflow_id"]).toBe(first.body["workflow_id"]);

  const dry = await post(`${C}?dryRun=true`, { name: `${name}-dry`, image: "debian:12" });
  expect([dry.status, dry.body["dry_run"], dry.body["action"]]).toEqual([
    ...[200, true, "ContainerCreated"],
  ]);
  const { body: list } = await api.send(`/api/v1/operations?resource_id=${name}-dry`);
  expect(list["operations"]).toEqual([]);
});

test("one operation at a time has a container; the others are told which", async () => {
  const name = fresh("busy");
  await made(name, { start: true });
  const id = fresh("op_hand");
  await api.database.query(
    `INSERT INTO hypervisor_operations (id, kind, object, resource_type, resource_id, actor, ip, summary, status, expires_at)
     VALUES ($1, 'SnapshotCreated', $2, 'snapshot', 's', 'ana', '', '', 'in_progress', now() + interval '1 hour')`,
    [id, `default/${name}`],
  );

  const refused = await Promise.all([
    post(`${C}/${name}/snapshots`, {}),
    post(`${C}/${name}/snapshots?dryRun=true`, {}),
    post(`${C}/${name}/action`, { action: "restart" }),
    api.send(`${C}/${name}?force=true`, { method: "DELETE" }),
  ]);
  expect(refused.map(({ status }) => status)).toEqual([409, 409, 409, 409]);
  for (const { detail } of refused) expect(detail).toContain(`${id} (SnapshotCreated)`);

  await api.database.query("DELETE FROM hypervisor_operations WHERE id = $1", [id]);
  expect((await post(`${C}/${name}/action`, { action: "restart" })).status).toBe(200);
});

test("while a short action is under way nothing else is done to the container", async () => {
  const name = fresh("held");
  await made(name, { start: true });
  let asked: Promise<readonly Answer[]> = Promise.resolve([]);
  const waiting = async (count: number) =>
    waitUntil(`${count} waiting`, async () => {
      const { rows } = await api.database.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      return rows.length >= count;
    });
  await api.database.inTransaction(async (tx) => {
    await tx.query("LOCK TABLE runbooks_audit IN SHARE MODE"); // an action begins with its row
    const stop = post(`${C}/${name}/action`, { action: "stop", timeout_seconds: 60 });
    await waiting(1);
    const others = [
      api.send(`${C}/${name}?force=true`, { method: "DELETE" }),
      post(`${C}/${name}/snapshots`, {}),
      post(`${C}/${name}/action`, { action: "restart" }),
    ];
    asked = Promise.all([stop, ...others]);
    await waiting(3);
  });

  expect((await asked).map(({ status }) => status)).toEqual([200, 409, 409, 409]);
  await finished(api, await api.send(`${C}/${name}`, { method: "DELETE" }));
});

test("a worker tells of its workflow until it ends; of others' and of ours it may not", async () => {
  const id = fresh("train");
  const worker = await api.person("agent");
  const tell = async (body: object, as = worker.token) =>
    post("/progress/update", { workflow_id: id, ...body }, { as });

  expect((await tell({ percent_complete: 25, message: "epoch 1" })).body).toMatchObject({
    workflow_id: id,
    kind: "workflow",
    status: "in_progress",
    percent_complete: 25,
    started_by: worker.name,
  });
  await tell({ percent_complete: 75.5, message: "epoch 3", step: "fit" });
  const estimate = await api.send(`/progress/${id}/estimate`, { as: worker.token });
  expect(estimate.body["reason"]).toBe("from how far it says it is");
  expect((await tell({ percent_complete: 100, status: "completed" })).body).toMatchObject({
    status: "completed",
    ended_at: expect.any(String),
  });
  const refused = [
    await tell({ percent_complete: 1 }),
    await tell({ percent_complete: 101 }),
    await tell({ percent_complete: 1, workflow_id: "op_x" }),
    await tell({ percent_complete: 1 }, (await api.person("Viewer")).token),
  ];
  expect(refused.map(({ status }) => status)).toEqual([409, 400, 404, 403]);
  const operation = String((await made())["workflow_id"]);
  expect((await tell({ workflow_id: operation, percent_complete: 1 })).status).toBe(409);
  const history = await api.send(`/progress/${id}/history?after=1`);
  expect(history.body["history"]).toMatchObject([
    { line: 2, percent_complete: 75.5, step: "fit" },
    { line: 3, status: "completed" },
  ]);
});

test("of a worker's words the record has the first, and each other status; the history has all", async () => {
  const id = fresh("train");
  const tell = async (percent: number, status = "in_progress") =>
    post("/progress/update", { workflow_id: id, percent_complete: percent, status });

  await tell(0, "pending");
  for (const percent of [1, 2, 3, 4]) expect((await tell(percent)).status).toBe(200);
  await tell(5, "failed");
  expect((await tell(6)).status).toBe(409);

  expect((await rowsAbout(id)).map(({ summary, result }) => [summary, result])).toEqual([
    [`Told that ${id} is pending, 0 %`, "Success"],
    [`Told that ${id} is in_progress, 1 %`, "Success"],
    [`Told that ${id} is failed, 5 %`, "Success"],
    [expect.stringContaining("has ended: failed"), "Failure"],
  ]);
  const { body } = await api.send(`/progress/${id}/history`);
  expect(body["history"]).toHaveLength(6);
});

test("another organization's operations are not there", async () => {
  for (const side of ["blue", "red"]) {
    await post("/api/v1/organizations", { id: side, name: side });
    await post("/api/v1/vdcs", {
      id: `${side}-v`,
      organization: side,
      name: side,
      project: `${side}-p`,
    });
  }
  const blue = await api.person("OrgAdmin", { organization: "blue" });
  const red = await api.person("OrgAdmin", { organization: "red" });
  // The platform's people made it, in a project of the organization's.
  const answer = await post(`${C}?project=blue-p`, { name: fresh("t"), image: "debian:12" });
  const id = String((await finished(api, answer))["workflow_id"]);

  const seen = async (as: string) => {
    const paths = [`/progress/${id}`, `/progress/${id}/history`, `/progress/${id}/estimate`];
    const statuses = await Promise.all(
      paths.map(async (path) => (await api.send(path, { as })).status),
    );
    const { body } = await api.send("/api/v1/operations", { as });
    return [statuses, (body["operations"] as object[]).length];
  };
  expect(await seen(blue.token)).toEqual([[200, 200, 200], 1]);
  expect(await seen(red.token)).toEqual([[404, 404, 404], 0]);
  const taken = { workflow_id: id, percent_complete: 1 };
  expect((await post("/progress/update", taken, { as: red.token })).status).toBe(404);
});

test("a WebSocket shows each line once, goes on after the last one, and closes at the end", async () => {
  const id = fresh("flow");
  const tell = async (percent: number, status = "in_progress") =>
    post("/progress/update", { workflow_id: id, percent_complete: percent, status });
  await tell(1);
  const open = (query: string, token = STATIC_TOKEN) => {
    const socket = new WebSocket(`${api.url.replace("http", "ws")}/progress/ws?${query}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const lines: unknown[] = [];
    socket.on("message", (data: Buffer) => {
      lines.push((JSON.parse(data.toString()) as { percent_complete: number }).percent_complete);
    });
    return { lines, closed: once(socket, "close") as Promise<[number]>, socket };
  };
  const all = open(`workflow_id=${id}`);
  await waitUntil("the first line", async () => Promise.resolve(all.lines.length === 1));
  await tell(2);
  await tell(3, "completed");

  expect((await all.closed)[0]).toBe(1000);
  expect(all.lines).toEqual([1, 2, 3]);
  const later = open(`workflow_id=${id}&after=2`);
  expect((await later.closed)[0]).toBe(1000);
  expect(later.lines).toEqual([3]);
  const refusal = async (query: string, token: string) => {
    const { socket, closed } = open(query, token);
    closed.catch(() => undefined);
    const [error] = (await once(socket, "error")) as [Error];
    return error.message;
  };
  const refused = [
    await refusal("workflow_id=nope", STATIC_TOKEN),
    await refusal(`workflow_id=${id}`, "stolen"),
  ];
  expect(refused).toEqual(["Unexpected server response: 404", "Unexpected server response: 401"]);
});
