import { leadingStream } from "./explain.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { AnomalyLabel } from "./types/labels.ts";
import { explainInWords, summaryOf } from "./words.ts";

/** An anomaly as JSON. Times as RFC 3339: milliseconds are for machines. */
export function anomalyView(anomaly: Anomaly): Readonly<Record<string, unknown>> {
  return {
    ...anomaly,
    memory: undefined, // of no use to anybody but the scorer
    summary: summaryOf(anomaly),
    explanation: explainInWords(anomaly),
    leadingStream: leadingStream(anomaly.evidence.opening),
    openedAt: time(anomaly.openedAt),
    lastSeenAt: time(anomaly.lastSeenAt),
    closedAt: time(anomaly.closedAt),
    historyFrom: time(anomaly.historyFrom),
  };
}

export function labelView(label: AnomalyLabel): Readonly<Record<string, unknown>> {
  return { ...label, at: time(label.at) };
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
