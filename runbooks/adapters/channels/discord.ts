import { canonicalJson, sha256Hex } from "../../../lib/canonical.ts";
import { postJson } from "../../../lib/post-json.ts";
import type { Secret } from "../../../lib/secret.ts";
import type { RunNews } from "../../notify/compose.ts";
import { cut, escapeMarkdown } from "../../notify/limits.ts";
import { isAsked, isTold, storyOf, type Story } from "../../notify/message.ts";
import type { Links } from "../../notify/slack-blocks.ts";
import type { Channel, LetterKind, Sent } from "../../types/notice.ts";

/** Discord's limits are 256, 4096 and 1024, and 6000 for all texts; escaping can make a text twice as long. */
const TITLE_MAX = 120;
const TEXT_MAX = 700;
const FIELD_MAX = 250;

const COLORS: Readonly<Record<Story["severity"], number>> = {
  critical: 0xb91c1c,
  error: 0xb91c1c,
  warning: 0xb45309,
  info: 0x1d4ed8,
};

export interface DiscordOptions {
  readonly url: Secret;
  readonly links: Links;
  readonly internalHosts: readonly string[];
}

/** A webhook that says which message it made, so that it can be edited. Only links: a webhook's buttons do nothing. */
export function connectDiscord({ url, links, internalHosts }: DiscordOptions): Channel {
  return {
    name: "discord",
    kindsOf,
    send: async ({ shown }, news, signal) => {
      if (shown === undefined && !isTold(news)) return undefined;
      const body = canonicalJson(embedOf(news, links));
      const sha256 = sha256Hex(body);
      if (shown?.remoteId !== undefined && shown.sha256 === sha256) return undefined;
      const post = { body, signal, internalHosts };
      if (shown?.remoteId !== undefined) {
        const address = at(url, `/messages/${encodeURIComponent(shown.remoteId)}`);
        await postJson("Discord", { ...post, method: "PATCH", url: address });
        return { message: { remoteId: shown.remoteId, remoteChannel: undefined, sha256 } };
      }
      // Without `wait` Discord answers 204 whatever the body was.
      const answer = await postJson("Discord", { ...post, url: at(url, "", "wait=true") });
      return posted(answer, sha256);
    },
  };
}

function kindsOf(event: string): readonly LetterKind[] {
  return /^(request|approval_denied|reminder|collector_.*)$/.test(event) ? [] : ["message"];
}

function at(base: Secret, path: string, query = ""): string {
  const address = new URL(base.reveal());
  address.pathname += path;
  address.search = query;
  return address.href;
}

function posted(answer: string, sha256: string): Sent {
  const id = /^\s*\{[^]*?"id"\s*:\s*"(\d{1,30})"/.exec(answer)?.[1];
  return { message: { remoteId: id, remoteChannel: undefined, sha256 } };
}

function embedOf(news: RunNews, links: Links): object {
  const { approval, run } = news;
  const story = storyOf(news);
  const asked = isAsked(news) && approval !== undefined;
  const link = asked ? links.approval(approval.id) : links.run(run.id);
  const lines = [story.dryRun ? "DRY-RUN: nothing will change" : "", story.status, story.fired];
  return {
    allowed_mentions: { parse: [] },
    embeds: [
      {
        title: escapeMarkdown(cut(story.title, TITLE_MAX)),
        description: escapeMarkdown(
          lines
            .filter((line) => line !== "")
            .map((line) => cut(line, TEXT_MAX))
            .join(" · "),
        ),
        color: COLORS[story.severity],
        timestamp: run.createdAt.toISOString(),
        fields: story.facts.map(({ name, value }) => ({
          name,
          value: escapeMarkdown(cut(value.replaceAll("\n", "; "), FIELD_MAX)),
          inline: true,
        })),
        ...(link === undefined ? {} : { url: link }),
      },
    ],
  };
}
