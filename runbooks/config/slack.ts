import { optional, secret, text, url, withDefault, type Config } from "../../lib/config.ts";
import { tooShort } from "./too-short.ts";

/** Slack's own are 32 characters long. */
const SIGNING_SECRET_MIN_LENGTH = 16;

/** The Slack app: its bot posts the message, its buttons come back to /slack/interactive. */
export const slackVariables = {
  slackBotToken: optional("SLACK_BOT_TOKEN", secret, "token (xoxb-…) of the Slack app's bot"),
  slackChannel: optional("SLACK_CHANNEL", text, "id of the Slack channel that is asked (C0123AB)"),
  slackSigningSecret: optional(
    "SLACK_SIGNING_SECRET",
    secret,
    "signing secret of the Slack app; without it no click is taken",
  ),
  slackSigningSecretOld: optional(
    "SLACK_SIGNING_SECRET_OLD",
    secret,
    "the signing secret before it was rotated: taken as well until it is unset",
  ),
  slackTeamId: optional(
    "SLACK_TEAM_ID",
    text,
    "clicks from another workspace are refused (T0123AB)",
  ),
  slackAppId: optional("SLACK_APP_ID", text, "clicks from another Slack app are refused (A0123AB)"),
  slackApiUrl: withDefault(
    "SLACK_API_URL",
    url,
    "https://slack.com/api",
    "Slack's Web API; another one only for tests and proxies",
  ),
} as const;

type Settings = Config<typeof slackVariables> & { readonly approvalSecret: unknown };

export function slackProblems(settings: Settings): readonly string[] {
  const { slackBotToken, slackChannel, slackSigningSecret, slackSigningSecretOld } = settings;
  const buttons = slackSigningSecret !== undefined;
  return [
    ...tooShort("SLACK_SIGNING_SECRET", slackSigningSecret, SIGNING_SECRET_MIN_LENGTH),
    ...tooShort("SLACK_SIGNING_SECRET_OLD", slackSigningSecretOld, SIGNING_SECRET_MIN_LENGTH),
    ...(buttons && settings.approvalSecret === undefined
      ? ["RUNBOOK_APPROVAL_SECRET: is required with SLACK_SIGNING_SECRET: it proves our buttons"]
      : []),
    ...((slackBotToken === undefined) === (slackChannel === undefined)
      ? []
      : ["SLACK_BOT_TOKEN and SLACK_CHANNEL: set both or none"]),
  ];
}
