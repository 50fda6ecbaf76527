import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { expectNoDeletes } from "./given.ts";
import { givenRuns, type GivenRun, type GivenRuns } from "./given-runs.ts";

let world: GivenRuns;

beforeAll(async () => {
  world = await givenRuns();
});
afterEach(() => {
  expectNoDeletes(world.kubernetes); // whatever an eviction is answered
});
afterAll(async () => world.stop());

function budget(app: string, name: string, minAvailable: number): void {
  world.kubernetes.put("poddisruptionbudgets", {
    metadata: { name, namespace: "shop" },
    spec: { minAvailable, selector: { matchLabels: { app } } },
  });
}

const evicted = (app: string) =>
  world.kubernetes.mutations().filter(({ path }) => path.includes(`/pods/${app}-`));

/** Seconds until the run is looked at again. */
async function nextLook({ id }: GivenRun): Promise<number> {
  const { rows } = await world.database.query<{ seconds: string }>(
    "SELECT extract(epoch FROM look_at - now()) AS seconds FROM runs WHERE id = $1",
    [id],
  );
  return Number(rows[0]?.seconds);
}

async function waitedFor({ id }: GivenRun, seconds: number): Promise<void> {
  await world.database.query(
    `UPDATE runs SET progress = jsonb_set(progress, '{waitingSince}',
       to_jsonb((now() - $2 * interval '1 second')::text)) WHERE id = $1`,
    [id, seconds],
  );
}

test("a budget that is used up is waited for, at most five minutes", async () => {
  const run = await world.approved("restart_pods");
  budget(run.app, run.app, 3);

  await run.setup.advance(run.id);
  expect(await run.setup.runs()).toMatchObject([{ state: "intent" }]);
  expect(await nextLook(run)).toBeGreaterThan(0);
  await waitedFor(run, 301);
  await run.setup.advance(run.id);

  expect(await run.setup.runs()).toMatchObject([
    { state: "failed", outcome: expect.stringMatching(/^pdb_blocked: /) },
  ]);
  expect(evicted(run.app)).toEqual([]);
});

test("a budget that gets room meanwhile lets the run go on, one pod after the other", async () => {
  const run = await world.approved("restart_pods");
  budget(run.app, run.app, 3);
  await run.setup.advance(run.id);
  world.kubernetes.remove({
    resource: "poddisruptionbudgets",
    group: "policy",
    namespace: "shop",
    name: run.app,
  });

  for (let look = 0; look < 20; look += 1) {
    await run.setup.advance(run.id);
    await new Promise((resolve) => setTimeout(resolve, 50)); // the new pod becomes ready
  }

  expect(await run.setup.runs()).toMatchObject([{ state: "verifying" }]);
  expect(new Set(evicted(run.app).map(({ path }) => path)).size).toBe(3);
});

test("a server that is too busy (429 without a budget) is waited for as long as it asks", async () => {
  const run = await world.approved("restart_pods");
  world.kubernetes.failNext({
    method: "POST",
    path: new RegExp(`/pods/${run.app}-.*/eviction$`),
    status: 429,
    retryAfterSeconds: 7,
  });

  await run.setup.advance(run.id);

  expect(await run.setup.runs()).toMatchObject([{ state: "intent" }]);
  expect(await nextLook(run)).toBeGreaterThan(3);
  expect(await nextLook(run)).toBeLessThanOrEqual(7);
  expect(evicted(run.app)).toEqual([]);
});

test("two budgets for one pod are a mistake that no waiting mends", async () => {
  const run = await world.approved("restart_pods");
  budget(run.app, `${run.app}-a`, 1);
  budget(run.app, `${run.app}-b`, 1);

  await run.setup.advance(run.id);

  expect(await run.setup.runs()).toMatchObject([
    { state: "failed", outcome: expect.stringMatching(/^pdb_misconfigured: /) },
  ]);
  expect(evicted(run.app)).toEqual([]);
});
