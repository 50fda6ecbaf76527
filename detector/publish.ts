import type { Log } from "../lib/log.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { AlertStatus } from "./types/delivery.ts";

export interface PublishDeps {
  readonly journal: {
    open(anomaly: Anomaly): Promise<"stored" | "unstored" | "already_open">;
    close(anomaly: Anomaly): Promise<"stored" | "unstored">;
  };
  /** `unstored` news is only in the caller's memory. */
  readonly outbox: {
    add(anomaly: Anomaly, status: AlertStatus, kept: "stored" | "unstored"): void;
  };
  readonly metrics: { showInfo(anomaly: Anomaly): void; hideInfo(anomaly: Anomaly): void };
  readonly onAnomaly: (anomaly: Anomaly) => void;
  readonly log: Log;
}

/** Tells everybody about an anomaly that opened or closed: database, metrics, channels, listener. In this order. */
export async function publish(
  { kind, anomaly }: { readonly kind: "published" | "closed"; readonly anomaly: Anomaly },
  deps: PublishDeps,
): Promise<void> {
  const opens = kind === "published";
  const told = { ...anomaly, memory: undefined }; // 33 kB that channels need not wait with
  deps.log.info(opens ? "anomaly opened" : "anomaly closed", fieldsOf(anomaly));
  if (opens) deps.metrics.showInfo(anomaly);
  else deps.metrics.hideInfo(anomaly);
  // The row comes first: another replica that already has the episode open has sent the alert as well.
  const kept = opens ? await deps.journal.open(anomaly) : await deps.journal.close(anomaly);
  if (kept === "already_open") {
    deps.log.info("alert left to whoever opened the episode", { anomaly: anomaly.id });
  } else {
    deps.outbox.add(told, opens ? "firing" : "resolved", kept);
  }
  deps.onAnomaly(anomaly);
}

function fieldsOf(anomaly: Anomaly): Readonly<Record<string, unknown>> {
  const { id, metric, series, reason, direction, score, value, baseline, closeCause } = anomaly;
  return { anomaly: id, metric, series, reason, direction, score, value, baseline, closeCause };
}
