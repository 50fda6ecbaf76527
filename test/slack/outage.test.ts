import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Secret } from "../../lib/secret.ts";
import { connectSlackWebhook } from "../../runbooks/adapters/channels/slack-webhook.ts";
import { openOutboxTable } from "../../runbooks/adapters/outbox-table.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startReceiver, type Receiver } from "../fakes/receivers.ts";
import { LINKS } from "../notify/given-notices.ts";
import { slackTest } from "./given-slack.ts";

const world = slackTest();
let hook: Receiver;

beforeEach(async () => {
  hook = await startReceiver("slack");
});
afterEach(async () => {
  await hook.stop();
});

function webhook() {
  const url = new Secret(hook.url);
  return connectSlackWebhook({ url, links: LINKS, internalHosts: ["127.0.0.1"] });
}

/** Two minutes later, for those who wait for them. */
async function twoMinutesLater(): Promise<void> {
  await world.database.query(
    "UPDATE runbooks_outbox SET next_at = now() WHERE fallback AND result IS NULL",
  );
}

test("tells the second channel what the bot could not tell for two minutes, and the bot when it is back", async () => {
  const { setup, slack } = world;
  slack.broken.set("chat.postMessage", { status: 500 });
  world.tell([world.channel(), webhook()], ["slack_webhook"]);
  const run = await setup.run({ app: "late" });
  await setup.ask(run);
  await world.until("the attempts", () => slack.calls("chat.postMessage").length > 1);
  expect(hook.taken).toEqual([]);

  await twoMinutesLater();
  await world.until("the second channel", () => hook.taken.length > 0);

  const text = JSON.stringify(hook.taken);
  expect(text).toContain("Approval needed: shop/late");
  expect(text).toContain("https://fettle.example.com/approvals/apr_");
  expect(text).not.toContain("fettle_approve");
  const oldest = await openOutboxTable(world.database).oldest();
  expect(oldest.get("slack")).toBeGreaterThan(0);
  const { rows } = await world.database.query("SELECT state FROM runs WHERE id = $1", [run]);
  expect(rows).toEqual([{ state: "approval_pending" }]);

  slack.broken.clear();
  await world.told();
  expect(world.main()).toHaveLength(1);
});

test("tells the second channel nothing when the bot could", async () => {
  const { setup } = world;
  world.tell([world.channel(), webhook()], ["slack_webhook"]);
  await setup.ask(await setup.run());
  await world.until("the message", () => world.main().length > 0);

  await twoMinutesLater();
  await world.told();

  expect(hook.taken).toEqual([]);
});

test("does not ask a second channel to answer what was decided meanwhile", async () => {
  const { setup, slack } = world;
  slack.broken.set("chat.postMessage", { error: "invalid_auth" });
  world.tell([world.channel(), webhook()], ["slack_webhook"]);
  const run = await setup.run();
  await setup.ask(run);
  await world.until("the refusal", () => slack.calls("chat.postMessage").length > 0);
  await setup.move(run, "rejected", { by: "ana" });

  await waitUntil("everything to be told", async () => {
    await twoMinutesLater();
    return (await setup.waiting()) === 0;
  });

  expect(hook.taken).toHaveLength(1);
  const text = JSON.stringify(hook.taken);
  expect(text).toContain("rejected by ana");
  expect(text).not.toContain("Approve or reject");
});
