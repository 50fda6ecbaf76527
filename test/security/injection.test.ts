import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { connectDiscord } from "../../runbooks/adapters/channels/discord.ts";
import { connectGithub } from "../../runbooks/adapters/channels/github.ts";
import { connectPagerDuty } from "../../runbooks/adapters/channels/pagerduty.ts";
import { connectSlackWebhook } from "../../runbooks/adapters/channels/slack-webhook.ts";
import { connectSlack } from "../../runbooks/adapters/channels/slack.ts";
import { connectSmtp } from "../../runbooks/adapters/channels/smtp.ts";
import { composeRun, type RunNews } from "../../runbooks/notify/compose.ts";
import type { Channel, Letter } from "../../runbooks/types/notice.ts";
import { startGithub } from "../fakes/github.ts";
import { startReceiver } from "../fakes/receivers.ts";
import { startSlack } from "../fakes/slack.ts";
import { startMailServer } from "../fakes/smtp.ts";
import { HOSTILE_TEXTS } from "../fixtures/hostile-texts.ts";
import { givenNotices, LINKS } from "../notify/given-notices.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

const COMMON = { links: LINKS, internalHosts: ["127.0.0.1"] };
const CASES = HOSTILE_TEXTS.map((text) => [text.slice(0, 40), text] as const);

let testDatabase: TestDatabase;
let database: Database;
let servers: Awaited<ReturnType<typeof startServers>>;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  servers = await startServers();
});
afterAll(async () => {
  for (const server of Object.values(servers)) await server.stop();
  await database.close();
  await testDatabase.drop();
});

async function startServers() {
  return {
    slack: await startSlack(),
    hook: await startReceiver("slack"),
    discord: await startReceiver("discord"),
    pagerduty: await startReceiver("pagerduty"),
    mail: await startMailServer(),
    github: await startGithub(),
  };
}

/** A run whose every free text is the hostile one, as it asks and after its end. */
async function newsWith(text: string, state?: string): Promise<RunNews> {
  const setup = givenNotices(database);
  const clean = text.replaceAll("\u0000", "").toWellFormed(); // Postgres holds neither; intake replaces both
  const run = await setup.run({
    alertname: clean,
    reason: clean,
    labels: { severity: clean, team: clean },
    annotations: {
      summary: clean,
      current: clean,
      baseline: clean,
      zscore: clean,
      sparkline: clean,
    },
  });
  await setup.ask(run);
  if (state !== undefined) await setup.move(run, state, { by: clean, outcome: clean });
  const news = await composeRun(run, database);
  if (news === undefined) throw new Error("the run is gone");
  return news;
}

/** A message that can be edited later has a name; all others are only sent. */
function messageNamed(remoteId: RegExp, remoteChannel?: string) {
  const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
  return { message: { remoteId: expect.stringMatching(remoteId), remoteChannel, sha256 } };
}

async function send(
  channel: Channel,
  news: RunNews,
  event: string,
  expected: object = {},
): Promise<void> {
  const letter: Letter = {
    id: "1",
    kind: channel.kindsOf(event)[0] ?? "event",
    runId: news.run.id,
    event,
    actor: "fettle",
    detail: {},
    at: news.run.now,
    attempts: 1,
    ageMs: 0,
    shown: undefined,
  };
  const sent = await channel.send(letter, news, new AbortController().signal);
  expect(sent).toEqual(expected);
}

/** Slack's texts that it reads as markup. */
function markupIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(markupIn);
  if (typeof value !== "object" || value === null) return [];
  const { type, text } = value as { type?: unknown; text?: unknown };
  if (type === "mrkdwn" && typeof text === "string") return [text];
  return Object.values(value).flatMap(markupIn);
}

const OURS = /<!date\^\d+\^\{time\}\|\d\d:\d\d UTC>|<@U012AB3CD>|<!subteam\^S0123AB>/g;

function expectSafeSlack(body: { readonly blocks?: unknown; readonly text?: unknown }): void {
  const texts = [...markupIn(body.blocks), String(body.text)];
  for (const text of texts) expect(text.replace(OURS, "")).not.toMatch(/[<>]/);
  for (const text of texts) expect(text.split("`").length % 2).toBe(1);
  expect(texts.join("").length).toBeLessThan(12_000);
}

test.each(CASES)("Slack reads no markup out of %j", async (_name, text) => {
  const { slack } = servers;
  const channel = connectSlack({
    ...COMMON,
    apiUrl: slack.apiUrl,
    token: new Secret(slack.token),
    channel: "C0FETTLE",
    buttonValue: () => "v1",
  });
  const message = messageNamed(/^\d+\.\d+$/, "C0FETTLE");
  await send(channel, await newsWith(text), "approval_pending", message);
  await send(channel, await newsWith(text, "failed"), "failed", message);

  const bodies = slack.calls("chat.postMessage").slice(-2);
  for (const { body } of bodies) expectSafeSlack(body);
});

test.each(CASES)("a Slack webhook reads no markup out of %j", async (_name, text) => {
  const { hook } = servers;
  const channel = connectSlackWebhook({ ...COMMON, url: new Secret(hook.url) });
  await send(channel, await newsWith(text), "approval_pending");

  expectSafeSlack(hook.taken.at(-1) as object);
});

test.each(CASES)("Discord mentions nobody and links nowhere for %j", async (_name, text) => {
  const { discord } = servers;
  await send(
    connectDiscord({ ...COMMON, url: new Secret(discord.url) }),
    await newsWith(text),
    "approval_pending",
    messageNamed(/^\w+$/),
  );

  const body = discord.taken.at(-1) as {
    embeds: { url: string; description: string; title: string }[];
  };
  const shown = JSON.stringify(body.embeds);
  expect(body).toMatchObject({ allowed_mentions: { parse: [] } });
  expect(body.embeds[0]?.url).toMatch(/^https:\/\/fettle\.example\.com\//);
  expect(shown).not.toMatch(/@(everyone|here|octocat)/);
  expect(body.embeds[0]?.description).not.toMatch(/(?<!\\)[<[`]/);
});

test.each(CASES)("GitHub sees one marker, no mention and no link of %j", async (_name, text) => {
  const { github } = servers;
  const token = new Secret(github.token);
  const where = { url: github.url, token, repository: "shop/ops" };
  const news = await newsWith(text, "failed");
  await send(connectGithub({ ...COMMON, ...where, sends: "issue" }), news, "failed");
  await send(connectGithub({ ...COMMON, ...where, sends: "dispatch" }), news, "failed");

  const body = github.issues.at(-1)?.body ?? "";
  expect(body.match(/(?<!\\)<!--/g)).toHaveLength(1);
  expect(body.replaceAll(/<!-- fettle:run_\w+ -->/g, "")).not.toMatch(/(?<!\\)[<`]/);
  expect(body).not.toMatch(/(^|\W)@(everyone|octocat)/);
  expect(
    body.replaceAll(/\[Run run_\w+\]\(https:\/\/fettle\.example\.com\/runs\/run_\w+\)/g, ""),
  ).not.toMatch(/(?<!\\)\[/);
});

test.each(CASES)(
  "a mail to its recipients alone, of plain text, comes of %j",
  async (_name, text) => {
    const { mail } = servers;
    const channel = connectSmtp({
      ...COMMON,
      url: new Secret(mail.url),
      from: "fettle@example.com",
      to: ["oncall@example.com"],
      personalLinks: async () => [],
    });
    await send(channel, await newsWith(text), "approval_pending");

    const { to, raw = "" } = mail.taken.at(-1) ?? {};
    const [headers = ""] = raw.split("\r\n\r\n");
    expect(to).toEqual(["oncall@example.com"]);
    expect(headers).not.toMatch(/^(bcc|cc):/im);
    expect(headers).toMatch(/^Content-Type: text\/plain/m);
    expect(headers.match(/^To:/gm)).toHaveLength(1);
  },
);

test.each(CASES)("PagerDuty gets a whole event of %j", async (_name, text) => {
  const { pagerduty } = servers;
  const channel = connectPagerDuty({
    ...COMMON,
    url: pagerduty.url,
    routingKey: new Secret("a".repeat(32)),
  });
  await send(channel, await newsWith(text), "approval_pending");

  const event = pagerduty.taken.at(-1) as { client_url: string; payload: { summary: string } };
  expect(event.client_url).toMatch(/^https:\/\/fettle\.example\.com\//);
  expect(event.payload.summary).not.toMatch(/\p{Cc}/u);
});
