import type { Anomaly } from "./types/anomaly.ts";
import type { AlertStatus } from "./types/delivery.ts";
import { explainInWords, short, summaryOf } from "./words.ts";

/** What every chat says about an anomaly, before it is written in the chat's own way. */
export interface Message {
  readonly title: string;
  readonly text: string;
  readonly facts: readonly { readonly name: string; readonly value: string }[];
}

const LABELS_SHOWN = 10;
const LABEL_LENGTH_MAX = 100;

/** Texts come from labels, so they are of any length and content; each channel cuts and escapes them. */
export function messageOf(anomaly: Anomaly, status: AlertStatus): Message {
  const labels = Object.entries(anomaly.labels)
    .slice(0, LABELS_SHOWN)
    .map(([name, value]) => `${name}=${cut(value, LABEL_LENGTH_MAX)}`);
  const target = [anomaly.namespace, anomaly.app].filter((part) => part !== "").join("/");
  const facts = [
    { name: "Severity", value: anomaly.severity },
    { name: "Reason", value: `${anomaly.reason} ${anomaly.direction}` },
    { name: "Target", value: target },
    { name: "Value", value: `${short(anomaly.value)} (before: ${short(anomaly.baseline)})` },
    { name: "Score", value: anomaly.score.toFixed(2) },
    { name: "Newest values", value: anomaly.sparkline },
    { name: "Series", value: labels.join(", ") },
  ];
  const over = status === "resolved";
  return {
    title: `${over ? "Over" : anomaly.severity === "critical" ? "Critical" : "Warning"}: ${summaryOf(anomaly)}`,
    text: over ? overInWords(anomaly) : explainInWords(anomaly).join(" "),
    facts: facts.filter(({ value }) => value !== ""),
  };
}

function overInWords({ closeCause, openedAt, closedAt, lastSeenAt }: Anomaly): string {
  const minutes = Math.round(((closedAt ?? lastSeenAt) - openedAt) / 60_000);
  const cause = (closeCause ?? "recovered").replaceAll("_", " ");
  return `It lasted ${minutes} minutes and ended as: ${cause}.`;
}

/** At most so many UTF-16 units, as the vendors count, without half a character; control characters become blanks. */
export function cut(text: string, lengthMax: number): string {
  const clean = text.toWellFormed().replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu, " ");
  if (clean.length <= lengthMax) return clean;
  return `${clean.slice(0, lengthMax - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
