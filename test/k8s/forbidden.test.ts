import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { slotsOf } from "../runbooks/given.ts";
import { callsOn, givenRuns, type GivenRuns } from "./given-runs.ts";

let world: GivenRuns;

beforeAll(async () => {
  world = await givenRuns();
});
afterAll(async () => world.stop());

test.each([
  ["rollout_restart", /^forbidden: .*\bpatch\b.*deployments/],
  ["restart_pods", /^forbidden: .*\bcreate\b.*pods\/eviction/],
  ["scale_up:+1", /^forbidden: .*\bpatch\b.*deployments\/scale/],
])("%s without the right is tried once, and names the verb that is missing", async (rule, why) => {
  const { id, app, setup } = await world.approved(rule);
  const before = callsOn(world.kubernetes, app).length;

  await setup.advance(id, { cluster: world.readOnly });

  const [run] = await setup.runs();
  expect(run).toMatchObject({ state: "failed", outcome: expect.stringMatching(why) });
  expect(callsOn(world.kubernetes, app).length - before).toBe(1);
  expect(world.kubernetes.mutations().filter(({ path }) => path.includes(app))).toEqual([]);
  // What was attempted counts: the next one needs a slot of its own.
  expect(await slotsOf(app, world.database)).toBe(1);
});
