import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenHypervisor, type Answer, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
});
afterAll(async () => api.stop());

async function post(path: string, body: unknown): Promise<Answer> {
  return api.send(`/api/v1/${path}`, { method: "POST", body });
}
async function remove(path: string): Promise<number> {
  return (await api.send(`/api/v1/${path}`, { method: "DELETE" })).status;
}

test("manages pools and volumes, and tells what is in use", async () => {
  const pool = { name: "fast", driver: "dir" };
  expect(await post("storage/pools", pool)).toMatchObject({ status: 201, body: pool });
  expect((await post("storage/pools", pool)).status).toBe(409);
  const volume = { name: "data", pool: "fast", size_bytes: 2 ** 30 };
  expect(await post("storage/volumes", volume)).toMatchObject({
    status: 201,
    body: { ...volume, project: "default", used_by: 0 },
  });
  const listed = await api.send("/api/v1/storage/volumes?pool=fast");
  expect(listed.body).toMatchObject({ total: 1, volumes: [{ name: "data" }] });
  expect(await remove("storage/pools/fast")).toBe(409);
  expect(await remove("storage/volumes/data?pool=fast")).toBe(204);
  expect(await remove("storage/pools/fast")).toBe(204);
  const { pools } = (await api.send("/api/v1/storage/pools")).body;
  expect(pools).toEqual([
    { name: "default", driver: "memory", status: "created", total_bytes: null, used_bytes: null },
  ]);
  const rows = (await api.rows()).filter(
    ({ event, result }) => event.startsWith("Storage") && result === "Success",
  );
  expect(rows.map(({ event }) => event)).toEqual([
    ...["StoragePoolCreated", "StorageVolumeCreated", "StorageVolumeDeleted"],
    "StoragePoolDeleted",
  ]);
});

test("manages bridges and lists interfaces", async () => {
  const bridge = { name: "br-test", address: "10.9.0.1/24", nat: false };
  expect(await post("network/bridges", bridge)).toMatchObject({ status: 201, body: bridge });
  expect((await post("network/bridges", { name: "x".repeat(16) })).status).toBe(400);
  expect((await post("network/bridges", { name: "b", address: "10.9.0.1" })).status).toBe(400);
  expect((await api.send("/api/v1/network/bridges")).body["total"]).toBe(2);
  expect((await api.send("/api/v1/network/interfaces")).body).toMatchObject({
    interfaces: [{ name: "fettle0" }, { name: "br-test", addresses: ["10.9.0.1/24"] }],
  });
  expect(await remove("network/bridges/br-test")).toBe(204);
  expect(await remove("network/bridges/br-test")).toBe(404);
});

test("forms a cluster and leaves it; a token stands nowhere in the record", async () => {
  const join = { node: "n1", address: "127.0.0.1:8443" };
  const token = "a-token-that-nobody-may-read";
  expect((await api.send("/api/v1/cluster")).body).toEqual({
    clustered: false,
    node: null,
    nodes: 0,
  });
  expect((await post("cluster/join", { ...join, address: "nowhere" })).status).toBe(400);
  expect((await post("cluster/join", { ...join, token })).status).toBe(400);
  expect((await post("cluster/join", join)).body).toMatchObject({ clustered: true, node: "n1" });
  expect((await post("cluster/join", join)).status).toBe(409);
  expect((await api.send("/api/v1/cluster/nodes")).body).toMatchObject({
    total: 1,
    nodes: [{ name: "n1", status: "online" }],
  });
  expect((await post("cluster/leave", { node: "n1" })).status).toBe(204);
  const { rows } = await api.database.query<{ readonly text: string }>(
    "SELECT runbooks_audit::text AS text FROM runbooks_audit",
  );
  expect(rows.length).toBeGreaterThan(3);
  expect(rows.filter(({ text }) => text.includes(token))).toEqual([]);
});

test("without a backend its routes answer 501 and say what to set; the rest of the API works", async () => {
  const bare = await givenHypervisor({ HYPERVISOR_BACKEND: "" });
  try {
    const paths = ["containers", "containers/a/snapshots", "cluster", "storage/pools"];
    const answers = await Promise.all(paths.map(async (each) => bare.send(`/api/v1/${each}`)));
    expect(answers.map(({ status }) => status)).toEqual([501, 501, 501, 501]);
    expect(answers[0]?.detail).toContain("set HYPERVISOR_BACKEND");
    expect((await bare.send("/api/v1/users")).status).toBe(200);
    expect((await bare.send("/ready")).status).toBe(200);
  } finally {
    await bare.stop();
  }
});

test("a backend that does not answer is a 503 that may be tried again, and no numbers", async () => {
  const socket = "/nowhere/engine.socket";
  const dead = await givenHypervisor({
    HYPERVISOR_BACKEND: "docker",
    HYPERVISOR_BACKEND_SOCKET: socket,
  });
  try {
    const answer = await dead.send("/api/v1/containers");
    expect(answer).toMatchObject({ status: 503 });
    expect(answer.headers.get("retry-after")).toBe("2");
    expect((await dead.send("/ready")).status).toBe(200);
    expect((await dead.send("/health")).body["checks"]).toMatchObject({ backend: { ok: false } });
    const metrics = await (await fetch(`${dead.url}/metrics`)).text();
    expect(metrics).toMatch(/^arm_hypervisor_backend_up\{backend="docker",.*\} 0$/m);
    expect(metrics).not.toMatch(/^arm_hypervisor_containers_total/m);
  } finally {
    await dead.stop();
  }
});
