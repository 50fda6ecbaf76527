import type { Secret } from "../../lib/secret.ts";
import { cut, messageOf } from "../message.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { AlertStatus, Channel } from "../types/delivery.ts";
import { postJson } from "./post-json.ts";

/** Slack's own limits are 3000 and 2000 per text, 10 fields; escaping can make a text five times as long. */
const TITLE_MAX = 500;
const TEXT_MAX = 590;
const FIELD_MAX = 390;

export interface SlackOptions {
  readonly url: Secret;
  readonly link?: (id: string) => string | undefined;
  readonly timeoutMs?: number;
}

/** An incoming webhook: it takes blocks, answers `ok`, and can be neither edited nor asked. */
export function connectSlack({ url, link, timeoutMs }: SlackOptions): Channel {
  return {
    name: "slack",
    post: async (anomaly, status, signal) => {
      const body = JSON.stringify(slackMessage(anomaly, status, link?.(anomaly.id)));
      await postJson("Slack", { url: url.reveal(), body, signal, timeoutMs });
    },
  };
}

function slackMessage(anomaly: Anomaly, status: AlertStatus, link: string | undefined): object {
  const { title, text, facts } = messageOf(anomaly, status);
  const heading = escapeSlack(cut(title, TITLE_MAX));
  const fields = facts.map(({ name, value }) =>
    markdown(`*${name}*\n${escapeSlack(cut(value, FIELD_MAX))}`),
  );
  return {
    text: heading,
    blocks: [
      { type: "section", text: markdown(`*${heading}*`) },
      { type: "section", text: markdown(escapeSlack(cut(text, TEXT_MAX))) },
      { type: "section", fields },
      ...(link === undefined
        ? []
        : [{ type: "context", elements: [markdown(`<${link}|Evidence and chart>`)] }]),
    ],
  };
}

/** `verbatim`: Slack makes no links, channels or names out of what labels contain. */
function markdown(text: string): object {
  return { type: "mrkdwn", text, verbatim: true };
}

/** Slack's three control characters; without them `<!channel>` is a text. */
function escapeSlack(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
