import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { ACTING, count, givenProcesses, type GivenProcesses } from "../runbooks/given-processes.ts";
import { givenRequests, raceClicks } from "./given-race.ts";

const REQUESTS = 200;
const CLICKS = 64;
/** On these some press Reject at the same moment. */
const disputed = (approval: number) => approval % 4 === 0;

let world: GivenProcesses;
const apps = Array.from({ length: REQUESTS }, (_, at) => `app-${at}`);

beforeAll(async () => {
  world = await givenProcesses({ replicas: 2, apps, env: ACTING });
});
afterAll(async () => world.stop());

/** How many requests were decided, by the word in the audit trail. */
async function decided(event: string): Promise<number> {
  return count(world.database, `runbooks_audit WHERE event = '${event}'`);
}

test("64 people at the same moment on each of 200 requests, on two replicas: each is decided once, and done once", async () => {
  const approvals = await givenRequests(world, apps);

  const answers = await raceClicks(world, {
    approvals,
    clicks: CLICKS,
    verdictOf: (approval, click) => (disputed(approval) && click % 3 === 0 ? "reject" : "approve"),
  });

  expect(answers).toHaveLength(REQUESTS * CLICKS);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(REQUESTS);
  const [approved, rejected] = [await decided("approved"), await decided("rejected")];
  expect(approved + rejected).toBe(REQUESTS);
  expect(approved).toBeGreaterThanOrEqual(REQUESTS * 0.75);
  await waitUntil("the approved ones to be done", async () => {
    return (await count(world.database, "runs WHERE state = 'verifying'")) === approved;
  });

  const restarted = world.kubernetes.mutations().map(({ path }) => path);
  expect(restarted).toHaveLength(approved);
  expect(new Set(restarted).size).toBe(approved);
  expect(await count(world.database, "(SELECT run_id FROM breaker_slots GROUP BY run_id) s")).toBe(
    approved,
  );
  // Who came second is on record, with what was decided before.
  expect(await decided("approval_denied")).toBe(REQUESTS * (CLICKS - 1));
});
