import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ClusterError } from "../../runbooks/types/cluster.ts";
import { givenRuns, type GivenRun, type GivenRuns } from "./given-runs.ts";

let world: GivenRuns;

beforeAll(async () => {
  world = await givenRuns();
});
afterAll(async () => world.stop());

/** From now on the API server answers nothing about this app but 503. */
function apiServerDown(app: string): void {
  world.kubernetes.failNext({ path: new RegExp(`/${app}\\b`), status: 503, times: 1_000 });
}

async function pass({ id }: GivenRun, minutes: number): Promise<void> {
  await world.database.query(
    `UPDATE runs SET deadline_at = deadline_at - $2 * interval '1 minute', state_since = state_since - $2 * interval '1 minute'
      WHERE id = $1`,
    [id, minutes],
  );
}

const effects = ({ app }: GivenRun) =>
  world.kubernetes.mutations().filter(({ path }) => path.endsWith(`/${app}`));

test("while the API server is away the run waits, and after ten minutes it acts once", async () => {
  const run = await world.approved();
  world.kubernetes.failNext({ path: new RegExp(`/${run.app}\\b`), status: 503, times: 3 });

  for (let look = 0; look < 3; look += 1) {
    await expect(run.setup.advance(run.id)).rejects.toThrow(ClusterError);
    expect(await run.setup.runs()).toMatchObject([{ state: "intent" }]);
    await pass(run, 3);
  }
  await run.setup.advance(run.id);

  expect(await run.setup.runs()).toMatchObject([{ state: "verifying" }]);
  expect(effects(run)).toHaveLength(1);
});

test("away until the deadline, nothing is done any more, although it is approved and the server is back", async () => {
  const run = await world.approved();
  apiServerDown(run.app);
  await expect(run.setup.advance(run.id)).rejects.toThrow(ClusterError);
  await pass(run, 16);

  await run.setup.advance(run.id);
  await run.setup.advance(run.id);

  expect(await run.setup.runs()).toMatchObject([
    { state: "unknown", outcome: expect.stringContaining("the deadline passed") },
  ]);
  expect(effects(run)).toEqual([]);
});

test("an approval that comes after the deadline of the run does nothing", async () => {
  const run = await world.waiting();
  await pass(run, 16);
  await world.database.query(
    "UPDATE approvals SET expires_at = now() + interval '1 minute' WHERE run_id = $1",
    [run.id],
  );
  await run.setup.answer(run.id, "approved");

  await run.setup.advance(run.id);

  expect(await run.setup.runs()).toMatchObject([{ state: "expired" }]);
  expect(effects(run)).toEqual([]);
});
