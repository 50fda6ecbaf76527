import { expect, test } from "@jest/globals";
import { slackTest } from "./given-slack.ts";

const world = slackTest();

test("loses nothing to a 429, and leaves the channel alone for as long as Slack says", async () => {
  const { setup, slack } = world;
  const runs = [await setup.run(), await setup.run(), await setup.run()];
  for (const run of runs) await setup.ask(run);
  slack.faults.push({ status: 429, headers: { "retry-after": "4" } });

  world.tell();
  await world.told();

  expect(world.main()).toHaveLength(runs.length);
  const [refused, next] = slack.requests;
  expect((next?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThanOrEqual(3_900);
});

test("sends at most one message a second, however many replicas there are", async () => {
  const { setup, database } = world;
  for (let n = 0; n < 4; n += 1) await setup.ask(await setup.run());
  // The database gives the turns; how soon after its turn a request is on the way is the machine's.
  await database.query(
    `CREATE TABLE turns (at timestamptz);
     CREATE FUNCTION turn() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO turns VALUES (now()); RETURN NULL; END';
     CREATE TRIGGER turn AFTER UPDATE ON runbooks_outbox FOR EACH ROW WHEN (NEW.attempts > OLD.attempts) EXECUTE FUNCTION turn()`,
  );

  world.tell();
  world.tell();
  world.tell();
  await world.told();

  expect(world.main()).toHaveLength(4);
  const { rows } = await database.query<{ gap: number }>(
    "SELECT extract(epoch FROM at - lag(at) OVER (ORDER BY at))::float8 AS gap FROM turns ORDER BY at OFFSET 1",
  );
  expect(rows).toHaveLength(3);
  expect(Math.min(...rows.map(({ gap }) => gap))).toBeGreaterThanOrEqual(1);
});

test("shows only the newest of the states that came while Slack was away", async () => {
  const { setup, slack } = world;
  const run = await setup.run();
  world.tell();
  await setup.ask(run);
  await world.told();
  slack.broken.set("chat.update", { status: 503 });
  slack.broken.set("chat.postMessage", { status: 503 });
  await setup.move(run, "approved", { by: "ana" });
  await world.until("the attempt", () => slack.calls("chat.update").length > 0);
  await setup.move(run, "intent");
  await setup.move(run, "verifying", { event: "executed" });
  await setup.move(run, "succeeded", { event: "verified", outcome: "the alert resolved" });
  slack.broken.clear();
  await world.told();

  expect(JSON.stringify(world.main()[0]?.blocks)).toContain("Helped: the alert resolved");
  expect(world.main()[0]?.edits).toBe(1);
  expect(await setup.results()).toMatchObject({ superseded: expect.any(Number) });
});
