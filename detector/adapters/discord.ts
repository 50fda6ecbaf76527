import type { Secret } from "../../lib/secret.ts";
import { cut, messageOf } from "../message.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { AlertStatus, Channel } from "../types/delivery.ts";
import { postJson } from "./post-json.ts";

/** Discord's limits are 256, 4096, 256 and 1024, and 6000 in all; escaping can double a text. */
const TITLE_MAX = 120;
const TEXT_MAX = 1_000;
const FIELD_MAX = 200;

const COLORS = { critical: 0xb3261e, warning: 0x9a6700, over: 0x1a7f37 } as const;

export interface DiscordOptions {
  readonly url: Secret;
  readonly link?: (id: string) => string | undefined;
  readonly timeoutMs?: number;
}

/** A Discord webhook. `wait=true`: without it Discord answers 204 and swallows what is wrong with the message. */
export function connectDiscord({ url, link, timeoutMs }: DiscordOptions): Channel {
  const target = new URL(url.reveal());
  target.searchParams.set("wait", "true");
  return {
    name: "discord",
    post: async (anomaly, status, signal) => {
      const body = JSON.stringify(discordMessage(anomaly, status, link?.(anomaly.id)));
      await postJson("Discord", { url: target.href, body, signal, timeoutMs });
    },
  };
}

function discordMessage(anomaly: Anomaly, status: AlertStatus, link: string | undefined): object {
  const { title, text, facts } = messageOf(anomaly, status);
  const at = status === "firing" ? anomaly.openedAt : (anomaly.closedAt ?? anomaly.lastSeenAt);
  return {
    allowed_mentions: { parse: [] },
    embeds: [
      {
        title: escapeMarkdown(cut(title, TITLE_MAX)),
        description: escapeMarkdown(cut(text, TEXT_MAX)),
        color: COLORS[status === "resolved" ? "over" : anomaly.severity],
        timestamp: new Date(at).toISOString(),
        fields: facts.map(({ name, value }) => ({
          name,
          value: escapeMarkdown(cut(value, FIELD_MAX)),
          inline: true,
        })),
        ...(link === undefined ? {} : { url: link }),
      },
    ],
  };
}

/** Every character that Discord's Markdown, mentions or links begin with. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\*_~`|>#[\]()<@:-]/g, "\\$&");
}
