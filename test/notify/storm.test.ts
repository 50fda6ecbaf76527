import { expect, test } from "@jest/globals";
import { slackTest } from "../slack/given-slack.ts";

const world = slackTest();
const STORM = 5_000;

test("a question is asked at once although thousands of runs ended in silence before it", async () => {
  const { database, setup } = world;
  await database.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, finished_at)
     SELECT 'run_storm' || n, 'eu-1/shop/deployment/s' || n, 'crashloop', 'skipped_no_policy', 'shop', 's' || n, '{}', now(), now()
       FROM generate_series(1, $1::int) n`,
    [STORM],
  );
  await database.query(
    `WITH told AS (
       INSERT INTO runbooks_audit (run_id, event, actor) SELECT 'run_storm' || n, 'skipped_no_policy', 'fettle'
         FROM generate_series(1, $1::int) n RETURNING id, run_id, event)
     INSERT INTO runbooks_notices (run_id, audit_id, event) SELECT run_id, id, event FROM told`,
    [STORM],
  );
  await setup.ask(await setup.run({ app: "asked" }));
  const start = performance.now();
  world.tell();
  await world.until("the question", () => world.main().length > 0);
  const askedAfterMs = performance.now() - start;
  await world.told();

  expect(world.main()).toHaveLength(1);
  // 5,000 at one a second would be 83 minutes.
  expect(askedAfterMs).toBeLessThan(20_000);
  expect(await setup.results()).toEqual({ delivered: 1, superseded: STORM * 2 });
});
