import { expect, test } from "@jest/globals";
import { slackTest } from "./given-slack.ts";

const world = slackTest();

test.each(["invalid_auth", "channel_not_found", "is_archived", "missing_scope"])(
  "does not try again what Slack refuses with %s, and says so loudly",
  async (error) => {
    const { setup, slack } = world;
    slack.broken.set("chat.postMessage", { error });
    world.tell();
    await setup.ask(await setup.run());
    await world.told();

    expect(slack.calls("chat.postMessage")).toHaveLength(1);
    expect(await setup.results()).toEqual({ refused: 1 });
    expect(world.log.text()).toContain("error letter refused");
    expect(world.log.text()).toContain(error);
    expect(world.log.text()).not.toContain(slack.token);
  },
);

test.each([
  "ratelimited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
  "request_timeout",
])("tries again after %s", async (error) => {
  const { setup, slack } = world;
  slack.faults.push({ error });
  world.tell();
  await setup.ask(await setup.run());
  await world.told();

  expect(world.main()).toHaveLength(1);
  expect(JSON.stringify(world.main()[0]?.blocks)).not.toContain("repeat");
});

test("says it once more in short, without blocks, when Slack finds them too long", async () => {
  const { setup, slack } = world;
  slack.faults.push({ error: "msg_blocks_too_long" });
  world.tell();
  await setup.ask(await setup.run({ app: "short" }));
  await world.told();

  expect(slack.calls("chat.postMessage")).toHaveLength(2);
  expect(world.main()[0]?.blocks).toEqual([]);
  expect(world.main()[0]?.text).toContain("Approval needed: shop/short");
});

test("posts the message again when a person has deleted it", async () => {
  const { setup, slack } = world;
  const run = await setup.run();
  world.tell();
  await setup.ask(run);
  await world.told();
  slack.messages.length = 0;

  await setup.move(run, "expired");
  await world.told();

  expect(world.main()).toHaveLength(1);
  expect(JSON.stringify(world.main()[0]?.blocks)).toContain("Nobody answered in time");
});
