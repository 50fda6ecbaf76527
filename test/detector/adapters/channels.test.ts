import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import { openChannels } from "../../../detector/adapters/channels.ts";
import { readDetectorConfig } from "../../../detector/config.ts";
import { PostError } from "../../../detector/faults.ts";
import type { Channel } from "../../../detector/types/delivery.ts";
import { ConfigError } from "../../../lib/config.ts";
import { verifySignature } from "../../../lib/signature.ts";
import { startReceiver, type Receiver } from "../../fakes/receivers.ts";
import { anomaly } from "../given-anomaly.ts";

const KEY = "0123456789abcdef0123456789abcdef";
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Chat = "slack" | "discord" | "pagerduty";
const CHATS: readonly Chat[] = ["slack", "discord", "pagerduty"];

async function given(chat: Chat): Promise<{ channel: Channel; receiver: Receiver }> {
  const receiver = await startReceiver(chat);
  cleanups.push(async () => receiver.stop());
  const env = {
    slack: { SLACK_WEBHOOK_URL: receiver.url },
    discord: { DISCORD_WEBHOOK_URL: receiver.url },
    pagerduty: { PAGERDUTY_ROUTING_KEY: KEY, PAGERDUTY_EVENTS_URL: receiver.url },
  }[chat];
  const config = readDetectorConfig({ ...env, DETECTOR_URL: "https://fettle.example/detector" });
  const [channel] = openChannels(config.channels);
  if (channel === undefined) throw new Error("no channel");
  return { channel, receiver };
}

const signal = new AbortController().signal;
const closed = anomaly({
  closedAt: anomaly().openedAt + 300_000,
  closeCause: "new_normal_accepted",
});

async function faultOf(post: Promise<void>): Promise<PostError> {
  const error: unknown = await post.then(
    () => "taken",
    (reason: unknown) => reason,
  );
  if (!(error instanceof PostError)) throw new Error("not a PostError", { cause: error });
  return error;
}

test.each(CHATS)("%s takes the beginning and the end of an anomaly", async (chat) => {
  const { channel, receiver } = await given(chat);

  await channel.post(anomaly({ severity: "critical" }), "firing", signal);
  await channel.post(closed, "resolved", signal);

  expect(receiver.taken).toHaveLength(2);
  expect(JSON.stringify(receiver.taken[0])).toContain("level shift up, 160 against 100");
  expect(JSON.stringify(receiver.taken[0])).toContain(
    "https://fettle.example/detector/anomalies/anomaly_0123",
  );
});

test("PagerDuty gets one dedup_key for both, the severity, and the evidence", async () => {
  const { channel, receiver } = await given("pagerduty");

  await channel.post(anomaly({ severity: "critical" }), "firing", signal);
  await channel.post(closed, "resolved", signal);

  expect(receiver.taken).toMatchObject([
    {
      routing_key: KEY,
      event_action: "trigger",
      dedup_key: "fettle:anomaly_0123",
      payload: {
        severity: "critical",
        source: "shop/checkout",
        class: "level_shift",
        custom_details: { value: 160, zscores: { 288: 20 } },
      },
    },
    { routing_key: KEY, event_action: "resolve", dedup_key: "fettle:anomaly_0123" },
  ]);
});

test.each(CHATS)(
  "%s takes texts of any length and content, none of which does anything",
  async (chat) => {
    const { channel, receiver } = await given(chat);
    const poison = "<!channel> @everyone [x](http://evil) **b** `c` \u0000 \ud800 & <b>".repeat(
      400,
    );
    const labels = Object.fromEntries(
      Array.from({ length: 200 }, (_, index) => [`label_${index}`, poison]),
    );

    await channel.post(
      anomaly({ labels, namespace: poison, app: poison, expr: poison, metric: poison }),
      "firing",
      signal,
    );

    expect(receiver.taken).toHaveLength(1);
    const text = JSON.stringify(receiver.taken[0]);
    const live = { slack: /<!channel>/, discord: /[^\\]@everyone|[^\\]\]\(/, pagerduty: /\\u0000/ };
    expect(live[chat].test(text)).toBe(false); // the text itself would fill the screen
  },
);

test.each(CHATS)("%s: what it says decides whether to try again, and when", async (chat) => {
  const { channel, receiver } = await given(chat);
  const post = async () => faultOf(channel.post(anomaly(), "firing", signal));
  receiver.faults.push(
    { status: 400, body: "invalid" },
    { status: 503 },
    { status: 429, headers: { "retry-after": "7" } },
    { status: 429, body: '{"message": "slow down", "retry_after": 0.5, "global": false}' },
    { status: 429, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } },
    { status: 429, headers: { "retry-after": "99999999" } },
    { status: 307, headers: { location: "http://127.0.0.1:9/" } },
    { status: 404 },
  );

  expect(await post()).toMatchObject({
    kind: "refused",
    message: expect.stringMatching(/answered 400: invalid$/),
  });
  expect(await post()).toMatchObject({ kind: "unavailable", retryAfterMs: 0 });
  expect(await post()).toMatchObject({ kind: "unavailable", retryAfterMs: 7_000 });
  expect(await post()).toMatchObject({ kind: "unavailable", retryAfterMs: 500 });
  expect((await post()).retryAfterMs).toBeGreaterThan(50_000);
  expect((await post()).retryAfterMs).toBe(3_600_000);
  expect((await post()).kind).toBe("unavailable");
  expect((await post()).kind).toBe("unavailable");
});

test.each(CHATS)("no error of %s shows its address or key", async (chat) => {
  const { channel, receiver } = await given(chat);
  await receiver.stop();
  cleanups.splice(0);

  const fault = await faultOf(channel.post(anomaly(), "firing", signal));

  const cause = fault.cause as Error & { cause?: unknown };
  const seen = [fault.message, cause.message, String(cause.cause)].join(" ");
  expect(seen).not.toMatch(/secretpart|0123456789abcdef/);
});

test("the webhook of runbooks is signed so that the receiver's check passes", async () => {
  const received: { body: string; signature?: string; timestamp?: string }[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      const header = (name: string) => request.headers[name]?.toString() ?? "";
      received.push({
        body,
        signature: header("x-fettle-signature"),
        timestamp: header("x-fettle-timestamp"),
      });
      response.writeHead(202).end("{}");
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { channels } = readDetectorConfig({
    AIOPS_WEBHOOK_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/alertmanager`,
    AIOPS_WEBHOOK_SECRET: "key",
  });

  await openChannels(channels)[0]?.post(anomaly(), "firing", signal);

  const [{ body, signature, timestamp } = { body: "" }] = received;
  expect(verifySignature("key", { signature, timestamp }, body, new Date())).toBe("ok");
  expect(verifySignature("other", { signature, timestamp }, body, new Date())).toBe("bad");
});

test("addresses lead to their vendor, and a wrong one is not shown in the error", () => {
  const problemsOf = (env: Record<string, string>): readonly string[] => {
    try {
      readDetectorConfig(env);
      return [];
    } catch (error) {
      return error instanceof ConfigError ? error.problems : [String(error)];
    }
  };

  for (const bad of [
    "http://hooks.slack.com/services/secretpart",
    "https://hooks.slack.com.evil.example/secretpart",
    "https://user@hooks.slack.com/secretpart",
    "https://169.254.169.254/secretpart",
    "secretpart",
  ]) {
    const problems = problemsOf({ SLACK_WEBHOOK_URL: bad });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^SLACK_WEBHOOK_URL: must be an https:\/\/ address/);
    expect(problems[0]).not.toContain("secretpart");
  }
  expect(problemsOf({ SLACK_WEBHOOK_URL: "https://hooks.slack.com/services/a/b/c" })).toEqual([]);
  expect(problemsOf({ DISCORD_WEBHOOK_URL: "https://discord.com/api/webhooks/1/a" })).toEqual([]);
  expect(problemsOf({ DISCORD_WEBHOOK_URL: "https://example.com/api/webhooks/1/a" })).toHaveLength(
    1,
  );
  expect(problemsOf({ PAGERDUTY_ROUTING_KEY: "short" })).toEqual([
    "PAGERDUTY_ROUTING_KEY: must be 32 letters and digits",
  ]);
  expect(problemsOf({ PAGERDUTY_EVENTS_URL: "https://evil.example/" })).toHaveLength(1);
});
