import type { Secret } from "../../lib/secret.ts";
import { cut } from "../message.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { AlertStatus, Channel } from "../types/delivery.ts";
import { explainInWords, summaryOf } from "../words.ts";
import { postJson } from "./post-json.ts";

/** PagerDuty's limit of the summary, and of an event 512 KB: labels are cut far below it. */
const SUMMARY_MAX = 1_024;
const FIELD_MAX = 255;
const EXPRESSION_MAX = 10_000;
const LABELS_MAX = 64;
const LABEL_MAX = 1_024;

export interface PagerDutyOptions {
  readonly url: string;
  readonly routingKey: Secret;
  readonly link?: (id: string) => string | undefined;
  readonly timeoutMs?: number;
}

/** PagerDuty's Events API v2. One dedup_key per anomaly: a repeated trigger is the same incident, resolve ends it. */
export function connectPagerDuty(options: PagerDutyOptions): Channel {
  const { url, timeoutMs } = options;
  return {
    name: "pagerduty",
    post: async (anomaly, status, signal) => {
      const body = JSON.stringify(eventOf(anomaly, status, options));
      await postJson("PagerDuty", { url, body, signal, timeoutMs });
    },
  };
}

function eventOf(
  anomaly: Anomaly,
  status: AlertStatus,
  { routingKey, link }: PagerDutyOptions,
): object {
  const identity = { routing_key: routingKey.reveal(), dedup_key: `fettle:${anomaly.id}` };
  if (status === "resolved") return { ...identity, event_action: "resolve" };
  const href = link?.(anomaly.id);
  return {
    ...identity,
    event_action: "trigger",
    client: "fettle",
    ...(href === undefined
      ? {}
      : { client_url: href, links: [{ href, text: "Evidence and chart" }] }),
    payload: payloadOf(anomaly),
  };
}

function payloadOf(anomaly: Anomaly): object {
  const { namespace, app, metric, reason } = anomaly;
  const labels = Object.entries(anomaly.labels).slice(0, LABELS_MAX);
  return {
    summary: cut(summaryOf(anomaly), SUMMARY_MAX),
    source: cut([namespace, app].filter((part) => part !== "").join("/") || metric, FIELD_MAX),
    severity: anomaly.severity,
    timestamp: new Date(anomaly.openedAt).toISOString(),
    component: cut(app || metric, FIELD_MAX),
    ...(namespace === "" ? {} : { group: cut(namespace, FIELD_MAX) }),
    class: reason,
    custom_details: {
      metric: cut(metric, FIELD_MAX),
      series: anomaly.series,
      labels: Object.fromEntries(
        labels.map(([name, value]) => [cut(name, FIELD_MAX), cut(value, LABEL_MAX)]),
      ),
      promql: cut(anomaly.expr, EXPRESSION_MAX),
      value: anomaly.value,
      baseline: anomaly.baseline,
      score: anomaly.score,
      zscores: Object.fromEntries(anomaly.zscores.map(({ window, z }) => [String(window), z])),
      sparkline: anomaly.sparkline,
      explanation: explainInWords(anomaly).map((sentence) => cut(sentence, SUMMARY_MAX)),
    },
  };
}
