import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { Secret } from "../../lib/secret.ts";
import { hypervisorContainers } from "../../runbooks/adapters/hypervisor.ts";
import type { Containers } from "../../runbooks/types/container.ts";
import type { Target } from "../../runbooks/types/target.ts";
import { finished } from "./finished.ts";
import { fresh, givenHypervisor, STATIC_TOKEN, type Hypervisor } from "./given.ts";

const C = "/api/v1/containers";

let api: Hypervisor;
let containers: Containers;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
  const access = { url: api.url, token: new Secret(STATIC_TOKEN) };
  containers = hypervisorContainers(access, { log: silentLog });
});
afterAll(async () => api.stop());

function targetOf(name: string): Target {
  return { cluster: "test", namespace: "shop", kind: "container", name, app: name };
}

async function running(): Promise<Target> {
  const name = fresh("web");
  const body = { name, image: "debian:12", start: true };
  await finished(api, await api.send(`${C}?project=shop`, { method: "POST", body }));
  return targetOf(name);
}

test("the runbooks' restart finds the container, restarts it once per key, and sees its new start", async () => {
  const target = await running();
  const before = await containers.find(target);
  const request = { key: fresh("run"), dryRun: false };

  expect(await containers.restart(target, { ...request, dryRun: true })).toMatchObject({
    kind: "accepted",
  });
  expect((await containers.find(target))?.startedAt).toBe(before?.startedAt);
  const answer = await containers.restart(target, request);
  const after = await containers.find(target);
  const again = await containers.restart(target, request);

  expect(before).toMatchObject({ state: "running" });
  expect([answer.kind, again.kind]).toEqual(["accepted", "accepted"]);
  expect(after?.uid).toBe(before?.uid);
  expect(Date.parse(after?.startedAt ?? "")).toBeGreaterThan(Date.parse(before?.startedAt ?? ""));
  expect((await containers.find(target))?.startedAt).toBe(after?.startedAt);
});

test("it is told that a container is gone, or does not run", async () => {
  const target = await running();
  await api.send(`${C}/${target.name}/action?project=shop`, {
    method: "POST",
    body: { action: "stop" },
  });

  expect(await containers.find(target)).toMatchObject({ state: "stopped", startedAt: undefined });
  expect(await containers.restart(target, { key: fresh("run"), dryRun: true })).toMatchObject({
    kind: "busy",
    why: expect.stringContaining("it is stopped") as unknown,
  });
  const gone = targetOf("nobody");
  expect(await containers.find(gone)).toBeUndefined();
  expect(await containers.restart(gone, { key: fresh("run"), dryRun: false })).toEqual({
    kind: "gone",
  });
});
