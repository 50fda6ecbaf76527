import {
  choice,
  list,
  optional,
  secret,
  text,
  url,
  withDefault,
  type Config,
} from "../../lib/config.ts";
import type { ChannelName } from "../types/notice.ts";

/** Who is told about runs, besides the Slack bot. */
export const notifyVariables = {
  slackWebhook: optional(
    "RUNBOOKS_SLACK_WEBHOOK",
    secret,
    "incoming webhook of a Slack channel: links instead of buttons; where a bot is set it is only told when the bot fails",
  ),
  runbooksDiscordWebhook: optional(
    "RUNBOOKS_DISCORD_WEBHOOK",
    secret,
    "webhook of a Discord channel that is told about runs",
  ),
  runbooksPagerdutyKey: optional(
    "RUNBOOKS_PAGERDUTY_ROUTING_KEY",
    secret,
    "integration key of a PagerDuty service (Events API v2) that is told about runs",
  ),
  runbooksPagerdutyUrl: withDefault(
    "RUNBOOKS_PAGERDUTY_URL",
    url,
    "https://events.pagerduty.com/v2/enqueue",
    "PagerDuty's Events API; https://events.eu.pagerduty.com/v2/enqueue in the EU region",
  ),
  smtpUrl: optional(
    "RUNBOOKS_SMTP_URL",
    secret,
    "mail server, smtps://user:password@host:465 or smtp://host:587 (STARTTLS)",
  ),
  emailFrom: optional("RUNBOOKS_EMAIL_FROM", text, "sender's address of the mails"),
  emailTo: withDefault("RUNBOOKS_EMAIL_TO", list, [], "who gets mails, comma-separated"),
  githubRepository: optional(
    "RUNBOOKS_GITHUB_REPOSITORY",
    text,
    "owner/name: where runs that need a person become issues, or every end starts a workflow",
  ),
  githubToken: optional(
    "RUNBOOKS_GITHUB_TOKEN",
    secret,
    "token with issues: write, or contents: write for workflows",
  ),
  githubSends: withDefault(
    "RUNBOOKS_GITHUB_SENDS",
    choice("issue", "dispatch"),
    "issue",
    "issue, or dispatch (repository_dispatch of the type fettle_run)",
  ),
  githubUrl: withDefault(
    "RUNBOOKS_GITHUB_URL",
    url,
    "https://api.github.com",
    "GitHub's REST API, or that of your own server",
  ),
  notifyFallback: withDefault(
    "RUNBOOKS_NOTIFY_FALLBACK",
    list,
    [],
    "channels told only when the Slack bot fails for 2 minutes: discord, pagerduty, email, github",
  ),
  internalHosts: withDefault(
    "RUNBOOKS_INTERNAL_HOSTS",
    list,
    [],
    "host names that may be reached by plain http or at addresses that are not public, comma-separated",
  ),
} as const;

type Settings = Config<typeof notifyVariables> & { readonly slackApiUrl: string };

const SLACK_API_HOSTS = ["slack.com", "slack-gov.com"];
const SLACK_HOSTS = ["hooks.slack.com", "hooks.slack-gov.com"];
const DISCORD_HOSTS = ["discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"];
const PAGERDUTY_HOSTS = ["events.pagerduty.com", "events.eu.pagerduty.com"];
const ADDRESS = /^[^\s<>@",;:\\()[\]]+@[^\s<>@",;:\\()[\]]+$/;

/** What is wrong with the channels; never with a secret's value. */
export function notifyProblems(settings: Settings): readonly string[] {
  const { internalHosts } = settings;
  const address = (name: string, value: string | undefined, hosts: readonly string[]) =>
    addressProblem(name, value, [...hosts, ...internalHosts], internalHosts);
  return [
    ...address("SLACK_API_URL", settings.slackApiUrl, SLACK_API_HOSTS),
    ...address("RUNBOOKS_SLACK_WEBHOOK", settings.slackWebhook?.reveal(), SLACK_HOSTS),
    ...address(
      "RUNBOOKS_DISCORD_WEBHOOK",
      settings.runbooksDiscordWebhook?.reveal(),
      DISCORD_HOSTS,
    ),
    ...address("RUNBOOKS_PAGERDUTY_URL", settings.runbooksPagerdutyUrl, PAGERDUTY_HOSTS),
    ...pagerdutyProblems(settings),
    ...mailProblems(settings),
    ...githubProblems(settings),
    ...fallbackProblems(settings),
  ];
}

/** A secret address goes to its vendor by https, or to a host that the operator calls internal. */
function addressProblem(
  name: string,
  value: string | undefined,
  hosts: readonly string[],
  internalHosts: readonly string[],
): readonly string[] {
  if (value === undefined) return [];
  const { protocol, hostname, username } = URL.parse(value) ?? {
    protocol: "",
    hostname: "",
    username: "",
  };
  const allowed = protocol === "https:" || internalHosts.includes(hostname);
  return allowed && hosts.includes(hostname) && username === ""
    ? []
    : [
        `${name}: must be an https:// address at ${hosts.join(", ")} (or at a host of RUNBOOKS_INTERNAL_HOSTS)`,
      ];
}

function pagerdutyProblems({ runbooksPagerdutyKey: key }: Settings): readonly string[] {
  return key === undefined || /^[a-zA-Z0-9]{32}$/.test(key.reveal())
    ? []
    : ["RUNBOOKS_PAGERDUTY_ROUTING_KEY: must be 32 letters and digits"];
}

function mailProblems({ smtpUrl, emailFrom, emailTo }: Settings): readonly string[] {
  const parts = [smtpUrl !== undefined, emailFrom !== undefined, emailTo.length > 0];
  if (!parts.some(Boolean)) return [];
  const problems = parts.every(Boolean)
    ? []
    : ["RUNBOOKS_SMTP_URL, RUNBOOKS_EMAIL_FROM and RUNBOOKS_EMAIL_TO: set all three or none"];
  const server = smtpUrl === undefined ? undefined : URL.parse(smtpUrl.reveal());
  if (smtpUrl !== undefined && !/^smtps?:$/.test(server?.protocol ?? ""))
    problems.push("RUNBOOKS_SMTP_URL: must be smtp://… or smtps://…");
  if (emailFrom !== undefined && !ADDRESS.test(emailFrom))
    problems.push(
      `RUNBOOKS_EMAIL_FROM: must be one mail address, got ${JSON.stringify(emailFrom.slice(0, 80))}`,
    );
  for (const to of emailTo.filter((entry) => !ADDRESS.test(entry)))
    problems.push(
      `RUNBOOKS_EMAIL_TO: must be mail addresses, got ${JSON.stringify(to.slice(0, 80))}`,
    );
  return problems;
}

function githubProblems({
  githubRepository: repository,
  githubToken,
  githubUrl,
  internalHosts,
}: Settings): readonly string[] {
  if (repository === undefined) return [];
  const { protocol, hostname } = new URL(githubUrl);
  return [
    ...(githubToken === undefined
      ? ["RUNBOOKS_GITHUB_TOKEN: is required with RUNBOOKS_GITHUB_REPOSITORY"]
      : []),
    ...(/^[\w.-]{1,100}\/[\w.-]{1,100}$/.test(repository)
      ? []
      : [
          `RUNBOOKS_GITHUB_REPOSITORY: must be owner/name, got ${JSON.stringify(repository.slice(0, 80))}`,
        ]),
    ...(protocol === "https:" || internalHosts.includes(hostname)
      ? []
      : ["RUNBOOKS_GITHUB_URL: must be an https:// address"]),
  ];
}

const MAY_FALL_BACK: ReadonlySet<string> = new Set<ChannelName>([
  "discord",
  "pagerduty",
  "email",
  "github",
]);

function fallbackProblems({ notifyFallback }: Settings): readonly string[] {
  return notifyFallback
    .filter((name) => !MAY_FALL_BACK.has(name))
    .map(
      (name) =>
        `RUNBOOKS_NOTIFY_FALLBACK: must be of ${[...MAY_FALL_BACK].join(", ")}, got ${JSON.stringify(name.slice(0, 80))}`,
    );
}
