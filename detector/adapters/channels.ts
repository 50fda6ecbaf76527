import type { Log } from "../../lib/log.ts";
import type { ChannelSettings } from "../config/channels.ts";
import type { Channel } from "../types/delivery.ts";
import { connectAlertmanager } from "./alertmanager.ts";
import { connectDiscord } from "./discord.ts";
import { connectPagerDuty } from "./pagerduty.ts";
import { connectSlack } from "./slack.ts";
import { connectWebhook } from "./webhook.ts";

/** Every channel that is configured. */
export function openChannels(settings: ChannelSettings, log?: Log): readonly Channel[] {
  const { webhook, alertmanager, slackUrl, discordUrl, pagerduty, detectorUrl } = settings;
  const link = (id: string): string | undefined =>
    detectorUrl === undefined ? undefined : `${detectorUrl}/anomalies/${encodeURIComponent(id)}`;
  return [
    ...(webhook === undefined ? [] : [connectWebhook({ ...webhook, link })]),
    ...(alertmanager === undefined ? [] : [connectAlertmanager({ ...alertmanager, link, log })]),
    ...(slackUrl === undefined ? [] : [connectSlack({ url: slackUrl, link })]),
    ...(discordUrl === undefined ? [] : [connectDiscord({ url: discordUrl, link })]),
    ...(pagerduty === undefined ? [] : [connectPagerDuty({ ...pagerduty, link })]),
  ];
}
