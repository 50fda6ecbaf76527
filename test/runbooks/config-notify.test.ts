import { expect, test } from "@jest/globals";
import { ConfigError } from "../../lib/config.ts";
import { readRunbooksConfig } from "../../runbooks/config.ts";

const env = {
  AIOPS_DATABASE_URL: "postgres://db/fettle",
  RUNBOOK_WEBHOOK_TOKEN: "awh_0123456789abcdef",
};

function problemsOf(more: Record<string, string>): readonly string[] {
  try {
    readRunbooksConfig({ ...env, ...more });
    return [];
  } catch (error) {
    return error instanceof ConfigError ? error.problems : [String(error)];
  }
}

const MAIL = {
  RUNBOOKS_SMTP_URL: "smtps://user:pa%20ss@mail.example.com",
  RUNBOOKS_EMAIL_FROM: "fettle@example.com",
  RUNBOOKS_EMAIL_TO: "oncall@example.com,ana@example.com",
};

test.each([
  ["Slack's webhook", { RUNBOOKS_SLACK_WEBHOOK: "https://hooks.slack.com/services/T0/B0/x" }],
  ["Discord's webhook", { RUNBOOKS_DISCORD_WEBHOOK: "https://discord.com/api/webhooks/1/x" }],
  ["PagerDuty", { RUNBOOKS_PAGERDUTY_ROUTING_KEY: "a".repeat(32) }],
  ["mail", MAIL],
  ["GitHub", { RUNBOOKS_GITHUB_REPOSITORY: "shop/ops", RUNBOOKS_GITHUB_TOKEN: "t" }],
  [
    "a host of one's own",
    { RUNBOOKS_SLACK_WEBHOOK: "http://relay.local/x", RUNBOOKS_INTERNAL_HOSTS: "relay.local" },
  ],
  ["fallbacks", { RUNBOOKS_NOTIFY_FALLBACK: "pagerduty, email" }],
])("takes %s", (_name, more) => {
  expect(problemsOf(more)).toEqual([]);
});

test.each([
  [
    { RUNBOOKS_SLACK_WEBHOOK: "https://evil.example/services/hunter2" },
    /^RUNBOOKS_SLACK_WEBHOOK: must be an https/,
  ],
  [
    { RUNBOOKS_SLACK_WEBHOOK: "http://hooks.slack.com/services/hunter2" },
    /^RUNBOOKS_SLACK_WEBHOOK: must be an https/,
  ],
  [
    { RUNBOOKS_DISCORD_WEBHOOK: "https://discord.com.evil.example/hunter2" },
    /^RUNBOOKS_DISCORD_WEBHOOK: must be/,
  ],
  [
    { RUNBOOKS_PAGERDUTY_ROUTING_KEY: "hunter2" },
    /^RUNBOOKS_PAGERDUTY_ROUTING_KEY: must be 32 letters/,
  ],
  [{ SLACK_API_URL: "https://evil.example/api" }, /^SLACK_API_URL: must be an https/],
  [
    { RUNBOOKS_SMTP_URL: "smtps://x:hunter2@mail" },
    /^RUNBOOKS_SMTP_URL, RUNBOOKS_EMAIL_FROM and RUNBOOKS_EMAIL_TO/,
  ],
  [{ ...MAIL, RUNBOOKS_SMTP_URL: "https://x:hunter2@mail" }, /^RUNBOOKS_SMTP_URL: must be smtp/],
  [{ ...MAIL, RUNBOOKS_EMAIL_TO: "a@b\r\nBcc: c@d" }, /^RUNBOOKS_EMAIL_TO: must be mail addresses/],
  [
    { ...MAIL, RUNBOOKS_EMAIL_FROM: "nobody" },
    /^RUNBOOKS_EMAIL_FROM: must be one mail address, got "nobody"/,
  ],
  [{ RUNBOOKS_GITHUB_REPOSITORY: "shop/ops" }, /^RUNBOOKS_GITHUB_TOKEN: is required/],
  [
    { RUNBOOKS_GITHUB_REPOSITORY: "../x/y", RUNBOOKS_GITHUB_TOKEN: "t" },
    /^RUNBOOKS_GITHUB_REPOSITORY: must be owner\/name/,
  ],
  [{ RUNBOOKS_NOTIFY_FALLBACK: "slack" }, /^RUNBOOKS_NOTIFY_FALLBACK: must be of/],
])("refuses %j by name, and never shows a secret", (more, problem) => {
  const problems = problemsOf(more);

  expect(problems).toEqual([expect.stringMatching(problem)]);
  expect(problems.join("\n")).not.toContain("hunter2");
});
