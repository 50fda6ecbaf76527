const TIMEOUT_MS = 10_000;
const PAGERDUTY = "https://events.pagerduty.com/v2/enqueue";
/** Discord's limit; Slack's is longer. */
const TEXT_MAX = 1_900;
const SEVERITIES = ["critical", "error", "warning", "info"];

type Variables = Readonly<Record<string, string | undefined>>;

interface Message {
  readonly channel: string;
  readonly url: string;
  readonly body: object;
}

/** @returns what went wrong, without any address: a webhook's address is its secret */
export async function notify(
  env: Variables,
  text: string,
  severity: string,
): Promise<readonly string[]> {
  if (text.trim() === "") return ["NOTIFY_TEXT: must say something"];
  if (!SEVERITIES.includes(severity))
    return [`NOTIFY_SEVERITY: must be one of ${SEVERITIES.join(", ")}, got ${severity}`];
  const messages = messagesOf(env, text.slice(0, TEXT_MAX), severity);
  if (messages.length === 0)
    return ["no channel is set: SLACK_WEBHOOK_URL, DISCORD_WEBHOOK_URL or PAGERDUTY_ROUTING_KEY"];
  return (await Promise.all(messages.map(send))).flat();
}

function messagesOf(env: Variables, text: string, severity: string): readonly Message[] {
  const { SLACK_WEBHOOK_URL = "", DISCORD_WEBHOOK_URL = "", PAGERDUTY_ROUTING_KEY = "" } = env;
  const { PAGERDUTY_EVENTS_URL = PAGERDUTY, GITHUB_REPOSITORY = "fettle", GITHUB_RUN_ID } = env;
  const event = {
    routing_key: PAGERDUTY_ROUTING_KEY,
    event_action: "trigger",
    dedup_key: `${GITHUB_REPOSITORY}/${GITHUB_RUN_ID ?? text}`.slice(0, 255),
    payload: { summary: text.slice(0, 1_024), source: GITHUB_REPOSITORY, severity },
  };
  return [
    { channel: "slack", url: SLACK_WEBHOOK_URL, body: { text: `${severity}: ${text}` } },
    // No text of a run may ring for everybody.
    {
      channel: "discord",
      url: DISCORD_WEBHOOK_URL,
      body: { content: `${severity}: ${text}`, allowed_mentions: { parse: [] } },
    },
    {
      channel: "pagerduty",
      url: PAGERDUTY_ROUTING_KEY === "" ? "" : PAGERDUTY_EVENTS_URL,
      body: event,
    },
  ].filter(({ url }) => url !== "");
}

async function send({ channel, url, body }: Message): Promise<readonly string[]> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return response.ok ? [] : [`${channel} answered ${response.status}`];
  } catch {
    return [`${channel} could not be reached`];
  }
}
