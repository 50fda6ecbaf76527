import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenHypervisor, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  // Nobody listens there: what cannot be done is known without the engine.
  const engine = {
    HYPERVISOR_BACKEND: "docker",
    HYPERVISOR_BACKEND_SOCKET: "/nowhere/docker.sock",
  };
  api = await givenHypervisor(engine);
});
afterAll(async () => api.stop());

test("what a backend cannot do is told by a dry run as by the real one, before anything is begun", async () => {
  const post = async (path: string, body: object) =>
    api.send(`/api/v1/${path}`, { method: "POST", body });
  const remove = async (path: string) => api.send(`/api/v1/${path}`, { method: "DELETE" });
  const pool = { name: "fast", driver: "dir" };
  const volume = { name: "data", pool: "local", size_bytes: 2 ** 30 };
  const container = { name: "web", image: "debian:12", pool: "fast" };

  for (const asked of ["", "?dryRun=true"]) {
    const refused = [
      await post(`storage/pools${asked}`, pool),
      await remove(`storage/pools/fast${asked}`),
      await post(`storage/volumes${asked}`, volume),
      await post(`containers${asked}`, container),
      await post(`cluster/join${asked}`, { node: "node-1", address: "10.0.0.1:8443" }),
      await post(`cluster/leave${asked}`, { node: "node-1" }),
    ];
    expect(refused.map(({ status, detail }) => `${status} ${detail}`)).toEqual([
      "501 the docker backend cannot create storage pools.",
      "501 the docker backend cannot remove storage pools.",
      "501 the docker backend cannot limit the size of a volume.",
      "501 the docker backend cannot choose the pool of a container.",
      "501 the docker backend cannot form a cluster.",
      "501 the docker backend cannot form a cluster.",
    ]);
  }
  expect((await api.rows()).filter(({ actor }) => actor !== "fettle")).toEqual([]);
});
