import type { Log } from "../lib/log.ts";
import type { AlertStatus, Anomaly } from "./types.ts";

export interface PublishDeps {
  readonly journal: {
    open(anomaly: Anomaly): Promise<"opened" | "already_open">;
    close(anomaly: Anomaly): Promise<void>;
    delivered(id: string, status: AlertStatus, at: Date): Promise<void>;
  };
  /** Undefined without a webhook: the metrics alone publish. */
  readonly outbox: { add(anomaly: Anomaly, status: AlertStatus): void } | undefined;
  readonly metrics: { showInfo(anomaly: Anomaly): void; hideInfo(anomaly: Anomaly): void };
  readonly onAnomaly: (anomaly: Anomaly) => void;
  readonly log: Log;
  readonly now: () => Date;
}

/** Tells everybody about an anomaly that opened or closed: database, metrics, webhook, listener. In this order. */
export async function publish(
  { kind, anomaly }: { readonly kind: "published" | "closed"; readonly anomaly: Anomaly },
  deps: PublishDeps,
): Promise<void> {
  const opens = kind === "published";
  const status: AlertStatus = opens ? "firing" : "resolved";
  deps.log.info(opens ? "anomaly opened" : "anomaly closed", fieldsOf(anomaly));
  if (opens) deps.metrics.showInfo(anomaly);
  else deps.metrics.hideInfo(anomaly);
  // The row comes first: another replica that already has the episode open has sent the alert as well.
  const verdict = opens ? await deps.journal.open(anomaly) : await closed(anomaly, deps);
  if (verdict === "already_open") {
    deps.log.info("alert left to whoever opened the episode", { anomaly: anomaly.id });
  } else if (deps.outbox === undefined) {
    await deps.journal.delivered(anomaly.id, status, deps.now());
  } else {
    deps.outbox.add(anomaly, status);
  }
  deps.onAnomaly(anomaly);
}

async function closed(anomaly: Anomaly, { journal }: PublishDeps): Promise<"closed"> {
  await journal.close(anomaly);
  return "closed";
}

function fieldsOf(anomaly: Anomaly): Readonly<Record<string, unknown>> {
  const { id, metric, series, reason, direction, score, value, baseline, closeCause } = anomaly;
  return { anomaly: id, metric, series, reason, direction, score, value, baseline, closeCause };
}
