import { postJson } from "../../../lib/post-json.ts";
import type { Secret } from "../../../lib/secret.ts";
import { slackMessage, type Links } from "../../notify/slack-blocks.ts";
import type { Channel } from "../../types/notice.ts";
import { milestonesOf, stillHolds } from "../../notify/milestones.ts";

export interface SlackWebhookOptions {
  readonly url: Secret;
  readonly links: Links;
  readonly internalHosts: readonly string[];
}

/** An incoming webhook takes blocks, answers `ok`, and can be neither edited nor asked: one message at each milestone. */
export function connectSlackWebhook({ url, links, internalHosts }: SlackWebhookOptions): Channel {
  return {
    name: "slack_webhook",
    kindsOf: milestonesOf,
    send: async (letter, news, signal) => {
      if (!stillHolds(letter, news)) return undefined;
      const body = JSON.stringify(slackMessage(news, { links, buttonValue: undefined }));
      await postJson("Slack", { url: url.reveal(), body, signal, internalHosts });
      return {};
    },
  };
}
