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
  const { setup, slack } = world;
  for (let n = 0; n < 4; n += 1) await setup.ask(await setup.run());

  world.tell();
  world.tell();
  world.tell();
  await world.told();

  const times = slack.calls("chat.postMessage").map(({ at }) => at);
  const gaps = times.slice(1).map((at, n) => at - (times[n] ?? 0));
  expect(world.main()).toHaveLength(4);
  // The database gives the turns a second apart; the request itself may start a little later or sooner after its turn.
  expect(Math.min(...gaps)).toBeGreaterThan(700);
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
