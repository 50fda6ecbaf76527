import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { callsOn, givenRuns, type GivenRuns } from "./given-runs.ts";

let world: GivenRuns;

beforeAll(async () => {
  world = await givenRuns();
});
afterAll(async () => world.stop());

const deploymentOf = (app: string) => ({
  resource: "deployments" as const,
  group: "apps",
  namespace: "shop",
  name: app,
});

function conflictsAt(app: string, times: number): void {
  const path = `/apis/apps/v1/namespaces/shop/deployments/${app}`;
  world.kubernetes.failNext({ method: "PATCH", path, status: 409, times });
}

const effectsOn = (app: string) =>
  world.kubernetes.mutations().filter(({ path }) => path.endsWith(`/${app}`));

test("an object that changed between reading and writing is read again: one effect", async () => {
  const { id, app, setup } = await world.approved();
  conflictsAt(app, 3);

  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([{ state: "verifying" }]);
  expect(effectsOn(app)).toHaveLength(1);
});

test("one that changes all the time is left alone after five tries", async () => {
  const { id, app, setup } = await world.approved();
  const before = callsOn(world.kubernetes, app).length; // the server's check, before anybody was asked
  conflictsAt(app, 100);
  const start = performance.now();

  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "plan_stale", outcome: expect.stringContaining("kept changing (5 conflicts)") },
  ]);
  expect(callsOn(world.kubernetes, app).length - before).toBe(5);
  expect(performance.now() - start).toBeGreaterThan(100 + 200 + 400 + 800);
  expect(effectsOn(app)).toEqual([]);
});

test("what somebody else changed after the plan was shown is not touched: the approval was for something else", async () => {
  const { id, app, setup } = await world.approved();
  const response = await fetch(
    `${world.kubernetes.url}/apis/apps/v1/namespaces/shop/deployments/${app}`,
    {
      method: "PATCH",
      headers: {
        authorization: `Bearer ${world.kubernetes.token}`,
        "content-type": "application/merge-patch+json",
      },
      body: JSON.stringify({ spec: { template: { metadata: { labels: { release: "2" } } } } }),
    },
  );
  expect(response.status).toBe(200);

  await setup.advance(id);

  expect(await setup.runs()).toMatchObject([
    { state: "plan_stale", outcome: expect.stringContaining("generation") },
  ]);
  expect(effectsOn(app)).toHaveLength(1); // the other's
  expect(world.kubernetes.read(deploymentOf(app))?.spec).not.toMatchObject({
    template: { metadata: { annotations: expect.anything() } },
  });
});
