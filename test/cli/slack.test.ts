import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { runCommandLine } from "../../cli/program.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";

let slack: FakeSlack;

beforeEach(async () => {
  slack = await startSlack();
});
afterEach(async () => {
  await slack.stop();
});

async function fettle(args: readonly string[], env: Record<string, string> = {}) {
  const lines: string[] = [];
  const write = (line: string) => {
    lines.push(line);
  };
  const exit = await runCommandLine(args, {
    env,
    out: write,
    err: write,
    terminal: false,
    ask: async () => "",
  });
  return { exit, text: lines.join("\n") };
}

function bot(): Record<string, string> {
  return {
    SLACK_BOT_TOKEN: slack.token,
    SLACK_CHANNEL: "C0FETTLE",
    SLACK_API_URL: slack.apiUrl,
    RUNBOOKS_INTERNAL_HOSTS: "127.0.0.1",
  };
}

test("slack manifest names the address of the buttons and the least scopes", async () => {
  const { exit, text } = await fettle([
    "slack",
    "manifest",
    "--url",
    "https://fettle.example.com/",
  ]);

  expect(exit).toBe(0);
  expect(JSON.parse(text)).toMatchObject({
    settings: { interactivity: { request_url: "https://fettle.example.com/slack/interactive" } },
    oauth_config: { scopes: { bot: expect.arrayContaining(["chat:write"]) } },
  });
});

test("slack manifest refuses an address that Slack cannot reach", async () => {
  expect(await fettle(["slack", "manifest"])).toMatchObject({
    exit: 2,
    text: expect.stringContaining("must be an https:// address"),
  });
});

test("slack test says who the bot is and posts a line", async () => {
  const { exit, text } = await fettle(["slack", "test"], bot());

  expect(exit).toBe(0);
  expect(text).toContain("ok    the token is valid: fettle in Fettle");
  expect(slack.messages).toHaveLength(1);
});

test("slack test says what is missing, without the token", async () => {
  slack.scopes.delete("channels:history");

  const { exit, text } = await fettle(["slack", "test"], bot());

  expect(exit).toBe(1);
  expect(text).toMatch(/FAIL {2}the bot may read its channel.*missing_scope/);
  expect(text).not.toContain(slack.token);
});

test("slack test without a bot is a wrong use", async () => {
  expect((await fettle(["slack", "test"])).exit).toBe(2);
});
