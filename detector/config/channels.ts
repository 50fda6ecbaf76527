import { optional, secret, url, withDefault, type Config } from "../../lib/config.ts";
import { isLoopbackHost } from "../../lib/loopback.ts";
import type { Secret } from "../../lib/secret.ts";
import type { AlertmanagerAccess } from "../types/access.ts";
import { alertmanagerAccess, alertmanagerVariables } from "./alertmanager.ts";

/** Who is told about anomalies. */
export const channelVariables = {
  webhookUrl: optional(
    "AIOPS_WEBHOOK_URL",
    url,
    "where anomalies are posted: the runbooks service's /alertmanager",
  ),
  webhookSecret: optional(
    "AIOPS_WEBHOOK_SECRET",
    secret,
    "signs the posted body (HMAC-SHA256 with timestamp)",
  ),
  ...alertmanagerVariables,
  slackWebhook: optional(
    "SLACK_WEBHOOK_URL",
    secret,
    "incoming webhook of a Slack channel, https://hooks.slack.com/services/...",
  ),
  discordWebhook: optional(
    "DISCORD_WEBHOOK_URL",
    secret,
    "webhook of a Discord channel, https://discord.com/api/webhooks/...",
  ),
  pagerdutyKey: optional(
    "PAGERDUTY_ROUTING_KEY",
    secret,
    "integration key of a PagerDuty service (Events API v2)",
  ),
  pagerdutyUrl: withDefault(
    "PAGERDUTY_EVENTS_URL",
    url,
    "https://events.pagerduty.com/v2/enqueue",
    "PagerDuty's Events API; https://events.eu.pagerduty.com/v2/enqueue in the EU region",
  ),
  detectorUrl: optional(
    "DETECTOR_URL",
    url,
    "address under which people reach the detector's pages, for links in alerts",
  ),
} as const;

type Settings = Config<typeof channelVariables>;

export interface ChannelSettings {
  readonly webhook: { readonly url: string; readonly secret: Secret | undefined } | undefined;
  readonly alertmanager: AlertmanagerAccess | undefined;
  readonly slackUrl: Secret | undefined;
  readonly discordUrl: Secret | undefined;
  readonly pagerduty: { readonly url: string; readonly routingKey: Secret } | undefined;
  /** Where an anomaly's page is; links are left out without it. */
  readonly detectorUrl: string | undefined;
}

const SLACK_HOSTS = ["hooks.slack.com", "hooks.slack-gov.com"];
const DISCORD_HOSTS = ["discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"];
const PAGERDUTY_HOSTS = ["events.pagerduty.com", "events.eu.pagerduty.com"];

/** The variables put together; what is wrong with them is added to `problems`, by the variable's name. */
export function channelSettings(settings: Settings, problems: string[]): ChannelSettings {
  const { webhookUrl, slackWebhook, discordWebhook, pagerdutyKey, pagerdutyUrl } = settings;
  checkAddress("SLACK_WEBHOOK_URL", slackWebhook?.reveal(), SLACK_HOSTS, problems);
  checkAddress("DISCORD_WEBHOOK_URL", discordWebhook?.reveal(), DISCORD_HOSTS, problems);
  checkAddress("PAGERDUTY_EVENTS_URL", pagerdutyUrl, PAGERDUTY_HOSTS, problems);
  if (pagerdutyKey !== undefined && !/^[a-zA-Z0-9]{32}$/.test(pagerdutyKey.reveal())) {
    problems.push("PAGERDUTY_ROUTING_KEY: must be 32 letters and digits");
  }
  return {
    webhook:
      webhookUrl === undefined ? undefined : { url: webhookUrl, secret: settings.webhookSecret },
    alertmanager: alertmanagerAccess(settings, problems),
    slackUrl: slackWebhook,
    discordUrl: discordWebhook,
    pagerduty:
      pagerdutyKey === undefined ? undefined : { url: pagerdutyUrl, routingKey: pagerdutyKey },
    detectorUrl: settings.detectorUrl,
  };
}

/** A secret address goes to its vendor over https, or to a stand-in on this machine; the message never shows it. */
function checkAddress(
  name: string,
  address: string | undefined,
  hosts: readonly string[],
  problems: string[],
): void {
  if (address === undefined) return;
  const parsed = URL.parse(address);
  if (parsed === null) {
    problems.push(`${name}: must be an https:// address`);
    return;
  }
  const { protocol, hostname, username } = parsed;
  const local = isLoopbackHost(hostname) && /^https?:$/.test(protocol);
  const vendor = protocol === "https:" && hosts.includes(hostname);
  if (username !== "" || !(local || vendor)) {
    problems.push(`${name}: must be an https:// address at ${hosts.join(", ")}`);
  }
}
