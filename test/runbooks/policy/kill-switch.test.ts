import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenRequests, raceClicks } from "../../approve/given-race.ts";
import { fettle, waitUntil } from "../../fakes/fettle.ts";
import { ACTING, count, givenProcesses, type GivenProcesses } from "../given-processes.ts";

const PODS = 30;
/** From the answer of `fettle disable` to the last write of anybody. */
const LATE_MAX_MS = 1_000;

let world: GivenProcesses;

beforeAll(async () => {
  world = await givenProcesses({
    apps: ["checkout"],
    pods: PODS,
    env: { ...ACTING, RUNBOOK_AUTOFIX_POLICY: "latency_p99:level_shift=restart_pods{batch=10}" },
  });
});
afterAll(async () => world.stop());

test("fettle disable stops a run between two pods, at once, and it says how far it was", async () => {
  const { database, kubernetes } = world;
  const approvals = await givenRequests(world, ["checkout"]);
  await raceClicks(world, { approvals, clicks: 1, verdictOf: () => "approve" });
  await waitUntil("the first evictions", async () => kubernetes.mutations().length > 0);

  const { code } = await fettle(["disable", "--reason", "wrong service", "--as", "ana"], {
    AIOPS_DATABASE_URL: world.databaseUrl,
  });
  const off = Date.now();
  expect(code).toBe(0);
  await waitUntil("the end of the run", async () => {
    return (await count(database, "runs WHERE finished_at IS NOT NULL")) === 1;
  });

  const last = Math.max(...kubernetes.mutations().map(({ at }) => Date.parse(at)));
  expect(last - off).toBeLessThan(LATE_MAX_MS);
  expect(kubernetes.mutations().length).toBeLessThan(PODS);
  const { rows: runs } = await database.query("SELECT state, outcome FROM runs");
  expect(runs).toEqual([
    { state: "failed", outcome: expect.stringMatching(/ana switched .* off: wrong service/) },
  ]);
});
