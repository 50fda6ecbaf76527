import { fingerprint } from "./fingerprint.ts";
import { short, summaryOf } from "./words.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { AlertStatus, DetectorFrame } from "./types/delivery.ts";
import type { Labels } from "./types/source.ts";

/** Alertmanager's way to say "not ended". */
const NOT_ENDED = "0001-01-01T00:00:00Z";
const ALERT_NAME = "AIOpsAnomalyDetected";

/**
 * The frame that says an anomaly began or, once it is closed, that it is over.
 *
 * @param link the anomaly's page; empty when nobody knows its address
 */
export function frameOf(anomaly: Anomaly, status: AlertStatus, link = ""): DetectorFrame {
  const labels = labelsOf(anomaly);
  const annotations = annotationsOf(anomaly);
  const endsAt =
    status === "firing"
      ? NOT_ENDED
      : new Date(anomaly.closedAt ?? anomaly.lastSeenAt).toISOString();
  const groupLabels = { alertname: ALERT_NAME, metric: anomaly.metric, series: anomaly.series };
  return {
    version: "4",
    receiver: "fettle-detector",
    status,
    groupKey: `fettle-detector:${fingerprint(groupLabels)}`,
    truncatedAlerts: 0,
    groupLabels,
    commonLabels: labels,
    commonAnnotations: annotations,
    externalURL: "",
    alerts: [
      {
        status,
        labels,
        annotations,
        startsAt: new Date(anomaly.openedAt).toISOString(),
        endsAt,
        generatorURL: link,
        fingerprint: fingerprint(labels),
      },
    ],
  };
}

/** Only labels that say something: an empty label is no label in Prometheus, and would change the fingerprint. */
function labelsOf(anomaly: Anomaly): Labels {
  const { metric, series, reason, namespace, app, severity } = anomaly;
  const all = { alertname: ALERT_NAME, metric, series, reason, namespace, app, severity };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
}

function annotationsOf(anomaly: Anomaly): Labels {
  const strongest = anomaly.zscores.reduce(
    (best, next) => (Math.abs(next.z) > Math.abs(best.z) ? next : best),
    anomaly.zscores[0] ?? { z: 0, window: 0 },
  );
  return {
    zscore: short(strongest.z),
    window: String(strongest.window),
    score: anomaly.score.toFixed(2),
    delta: short(anomaly.delta),
    baseline: short(anomaly.baseline),
    current: short(anomaly.value),
    direction: anomaly.direction,
    sparkline: anomaly.sparkline,
    summary: summaryOf(anomaly),
  };
}
