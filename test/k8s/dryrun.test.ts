import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readRunbooksConfig } from "../../runbooks/main.ts";
import { slotsOf } from "../runbooks/given.ts";
import { givenRuns, type GivenRuns } from "./given-runs.ts";

let world: GivenRuns;

beforeAll(async () => {
  world = await givenRuns();
});
afterAll(async () => world.stop());

test("nobody who sets nothing acts for real", () => {
  const config = readRunbooksConfig({ AIOPS_DATABASE_URL: "postgres://127.0.0.1/x" });

  expect([config.enabled, config.dryRun, config.requireApproval]).toEqual([false, true, true]);
});

test.each(["rollout_restart", "restart_pods", "scale_up:+1", "scale_down:-1"])(
  "%s in a dry run goes the whole way, the server checks it, and nothing is changed",
  async (rule) => {
    const { id, app, setup } = await world.waiting(rule);
    const switches = { ...setup.deps.switches, dryRun: true };
    // A request of a real run is none of a dry one: it has to be asked anew.
    await world.database.query("DELETE FROM approval_votes");
    await world.database.query("DELETE FROM approvals WHERE run_id = $1", [id]);
    await world.database.query(
      "UPDATE runs SET state = 'collected', plan = NULL, plan_hash = NULL WHERE id = $1",
      [id],
    );

    await setup.advance(id, { switches });
    await setup.answer(id, "approved");
    await setup.advance(id, { switches });

    expect(await setup.runs()).toMatchObject([
      {
        state: "skipped_dry_run",
        outcome: expect.stringContaining("the cluster would accept it; nothing was changed"),
      },
    ]);
    const writes = world.kubernetes.requests.filter(
      ({ method, path }) => method !== "GET" && path.includes(app),
    );
    expect(writes.length).toBeGreaterThan(0);
    expect(writes.filter(({ dryRun }) => !dryRun)).toEqual([]);
    expect(world.kubernetes.mutations()).toEqual([]);
    expect(await slotsOf(app, world.database)).toBe(0);
    expect((await setup.events(id)).at(-1)).toBe("skipped_dry_run");
  },
);
