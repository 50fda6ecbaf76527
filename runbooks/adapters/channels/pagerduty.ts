import { sha256Hex } from "../../../lib/canonical.ts";
import { postJson } from "../../../lib/post-json.ts";
import type { Secret } from "../../../lib/secret.ts";
import type { RunNews } from "../../notify/compose.ts";
import { cut, LABEL_MAX } from "../../notify/limits.ts";
import { isTold, storyOf } from "../../notify/message.ts";
import { wasTold } from "../../notify/milestones.ts";
import type { Links } from "../../notify/slack-blocks.ts";
import type { Channel, Letter, LetterKind } from "../../types/notice.ts";

/** PagerDuty's limit of the summary; labels are cut so that an event stays far below 512 KB. */
const SUMMARY_MAX = 1_024;
const LABELS_SHOWN = 64;

export interface PagerDutyOptions {
  readonly url: string;
  readonly routingKey: Secret;
  readonly links: Links;
  readonly internalHosts: readonly string[];
}

/** PagerDuty's Events API v2: an incident per target and runbook, acknowledged by an approval, resolved when it helped. */
export function connectPagerDuty(options: PagerDutyOptions): Channel {
  const { url, routingKey, links, internalHosts } = options;
  return {
    name: "pagerduty",
    kindsOf,
    send: async (letter, news, signal) => {
      const action = actionOf(letter, news);
      if (action === undefined) return undefined;
      const { run } = news;
      const event = {
        routing_key: routingKey.reveal(),
        dedup_key: sha256Hex(`${run.targetKey}\n${run.runbook}`),
        event_action: action,
        ...(action === "trigger" ? triggerOf(news, links) : {}),
      };
      await postJson("PagerDuty", { url, body: JSON.stringify(event), signal, internalHosts });
      return {};
    },
  };
}

function kindsOf(event: string): readonly LetterKind[] {
  return /^(request|approval_denied|reminder|collector_.*|progress|vote|intent|executed|retried)$/.test(
    event,
  )
    ? []
    : ["event"];
}

/** Runs of which a person must know although they are over. */
const NEEDS_PERSON: ReadonlySet<string> = new Set([
  "failed",
  "unknown",
  "expired",
  "plan_stale",
  "skipped_circuit",
  "skipped_max_unhealthy",
]);

function actionOf(
  { event }: Letter,
  news: RunNews,
): "trigger" | "acknowledge" | "resolve" | undefined {
  const { run, approval, finishedAt } = news;
  if (event === "approval_pending") return "trigger";
  if (event === "approved") return approval === undefined ? undefined : "acknowledge";
  if (finishedAt === undefined || !wasTold(news)) return undefined;
  if (NEEDS_PERSON.has(run.state) && isTold(news)) return "trigger";
  return approval === undefined ? undefined : "resolve";
}

function triggerOf(news: RunNews, links: Links): object {
  const { run, approval } = news;
  const { trigger } = run;
  const story = storyOf(news);
  const href = approval?.state === "pending" ? links.approval(approval.id) : links.run(run.id);
  const labels = Object.entries(trigger.labels).slice(0, LABELS_SHOWN);
  return {
    client: "fettle",
    ...(href === undefined ? {} : { client_url: href, links: [{ href, text: "Run" }] }),
    payload: {
      summary: cut(`${story.dryRun ? "DRY-RUN " : ""}${story.summary}`, SUMMARY_MAX),
      source: cut(`${run.namespace}/${run.app}`, LABEL_MAX),
      severity: story.severity,
      timestamp: run.createdAt.toISOString(),
      component: cut(run.app, LABEL_MAX),
      group: cut(run.namespace, LABEL_MAX),
      class: cut(trigger.reason === "" ? trigger.trigger : trigger.reason, LABEL_MAX),
      custom_details: {
        run: run.id,
        state: run.state,
        fired: story.fired,
        ...Object.fromEntries(story.facts.map(({ name, value }) => [name, value])),
        labels: Object.fromEntries(
          labels.map(([name, value]) => [cut(name, LABEL_MAX), cut(value, LABEL_MAX)]),
        ),
      },
    },
  };
}
