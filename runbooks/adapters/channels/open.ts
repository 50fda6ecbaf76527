import type { Secret } from "../../../lib/secret.ts";
import type { Config } from "../../../lib/config.ts";
import type { notifyVariables } from "../../config/notify.ts";
import type { ButtonValue, Links } from "../../notify/slack-blocks.ts";
import type { Channel, ChannelName } from "../../types/notice.ts";
import { connectDiscord } from "./discord.ts";
import { connectGithub } from "./github.ts";
import { connectPagerDuty } from "./pagerduty.ts";
import { connectSlackWebhook } from "./slack-webhook.ts";
import { connectSlack } from "./slack.ts";
import { connectSmtp, type PersonalLinks } from "./smtp.ts";

export type ChannelSettings = Config<typeof notifyVariables> & {
  /** Where people reach the pages. */
  readonly publicUrl: string | undefined;
  readonly slackApiUrl: string;
  readonly slackBotToken: Secret | undefined;
  readonly slackChannel: string | undefined;
};

interface Parts {
  readonly buttonValue: ButtonValue | undefined;
  readonly personalLinks: (runId: string) => Promise<readonly PersonalLinks[]>;
}

/** Every channel that is configured, and those that are only told what the Slack bot could not be told. */
export function openChannels(
  settings: ChannelSettings,
  { buttonValue, personalLinks }: Parts,
): { readonly channels: readonly Channel[]; readonly fallbacks: ReadonlySet<ChannelName> } {
  const { internalHosts } = settings;
  const links = linksTo(settings.publicUrl);
  const common = { links, internalHosts };
  const bot = slackBot(settings, { ...common, buttonValue });
  const channels = [
    ...bot,
    ...(settings.slackWebhook === undefined
      ? []
      : [connectSlackWebhook({ ...common, url: settings.slackWebhook })]),
    ...(settings.runbooksDiscordWebhook === undefined
      ? []
      : [connectDiscord({ ...common, url: settings.runbooksDiscordWebhook })]),
    ...pagerduty(settings, common),
    ...mail(settings, { ...common, personalLinks }),
    ...github(settings, common),
  ];
  // The webhook speaks in the same Slack: beside a bot it would say everything twice.
  const names = bot.length === 0 ? [] : ["slack_webhook", ...settings.notifyFallback];
  return { channels, fallbacks: new Set(names as readonly ChannelName[]) };
}

interface Common {
  readonly links: Links;
  readonly internalHosts: readonly string[];
}

function slackBot(
  { slackApiUrl: apiUrl, slackBotToken: token, slackChannel: channel }: ChannelSettings,
  common: Common & Pick<Parts, "buttonValue">,
): readonly Channel[] {
  if (token === undefined || channel === undefined) return [];
  return [connectSlack({ ...common, apiUrl, token, channel })];
}

function pagerduty(
  { runbooksPagerdutyKey: routingKey, runbooksPagerdutyUrl: url }: ChannelSettings,
  common: Common,
): readonly Channel[] {
  return routingKey === undefined ? [] : [connectPagerDuty({ ...common, url, routingKey })];
}

function mail(
  { smtpUrl: url, emailFrom: from, emailTo: to }: ChannelSettings,
  common: Common & Pick<Parts, "personalLinks">,
): readonly Channel[] {
  if (url === undefined || from === undefined || to.length === 0) return [];
  return [connectSmtp({ ...common, url, from, to })];
}

function github(settings: ChannelSettings, common: Common): readonly Channel[] {
  const { githubRepository: repository, githubToken: token, githubSends: sends } = settings;
  if (repository === undefined || token === undefined) return [];
  return [connectGithub({ ...common, url: settings.githubUrl, token, repository, sends })];
}

function linksTo(base: string | undefined): Links {
  const page = (path: string) => (base === undefined ? undefined : `${base}${path}`);
  return {
    run: (id) => page(`/runs/${encodeURIComponent(id)}`),
    approval: (id) => page(`/approvals/${encodeURIComponent(id)}`),
    queue: () => page("/approvals"),
  };
}
