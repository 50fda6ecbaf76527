import { expect, test } from "@jest/globals";
import { slackTest } from "./given-slack.ts";

const world = slackTest();

test("finds the message that Slack took but did not confirm, and posts no second one", async () => {
  const { setup, slack } = world;
  slack.faults.push("late");
  world.tell();
  const run = await setup.run();
  await setup.ask(run);
  await world.told();

  expect(world.main()).toHaveLength(1);
  expect(slack.calls("chat.postMessage")).toHaveLength(1);
  await setup.move(run, "rejected", { by: "ana" });
  await world.told();
  expect(JSON.stringify(world.main()[0]?.blocks)).toContain("rejected by ana");
});

test("looks for the message also when the state has moved on meanwhile", async () => {
  const { setup, slack } = world;
  slack.faults.push("late");
  world.tell();
  const run = await setup.run();
  await setup.ask(run);
  await world.until("the post", () => slack.messages.length > 0);
  await setup.move(run, "expired");
  await world.told();

  expect(world.main()).toHaveLength(1);
  expect(JSON.stringify(world.main()[0]?.blocks)).toContain("Nobody answered in time");
});

test("marks the second message as a repeat where the bot may not read the channel", async () => {
  const { setup, slack } = world;
  slack.scopes.delete("channels:history");
  slack.faults.push("late");
  world.tell();
  await setup.ask(await setup.run());
  await world.told();

  expect(world.main()).toHaveLength(2);
  expect(JSON.stringify(world.main()[0]?.blocks)).not.toContain("may be a repeat");
  expect(JSON.stringify(world.main()[1]?.blocks)).toContain("may be a repeat");
  const { rowCount } = await world.database.query(
    "SELECT 1 FROM approvals WHERE state = 'pending'",
  );
  expect(rowCount).toBeGreaterThanOrEqual(1);
});

test("goes on after a dispatcher that was stopped between the post and its note", async () => {
  const { setup, slack, database } = world;
  const run = await setup.run();
  await setup.ask(run);
  slack.faults.push("late");
  const stop = setup.tell([world.channel()]);
  await world.until("the post", () => slack.messages.length > 0);
  await stop();
  await database.query("UPDATE runbooks_outbox SET lease_until = now() WHERE run_id = $1", [run]);

  world.tell();
  await world.told();

  expect(world.main()).toHaveLength(1);
});
