import type { Anomaly } from "../../detector/types/anomaly.ts";
import type { Delivery, Mailing } from "../../detector/types/delivery.ts";
import type { PointScore } from "../../detector/types/scoring.ts";
import { flat, scoresOf, valuesOf } from "./given.ts";

const OPENED_AT = Date.parse("2026-11-20T10:00:00Z");

let point: PointScore | undefined;

/** Mail that is due at once. */
export const MAILING: Mailing = { traceparent: undefined, headStartMs: 0 };

/** A published anomaly, as `recordAnomaly` makes it. */
export function anomaly(change: Partial<Anomaly> = {}): Anomaly {
  point ??= scoresOf([...valuesOf(flat, 320, 1), 160]).at(-1);
  if (point === undefined) throw new Error("no score");
  const opening = { ...point, t: OPENED_AT };
  return {
    id: "anomaly_0123",
    metric: "latency_p99",
    expr: "http_requests:latency_p99",
    series: "0123456789ab",
    labels: { namespace: "shop", app: "checkout" },
    namespace: "shop",
    app: "checkout",
    reason: "level_shift",
    direction: "up",
    severity: "warning",
    openedAt: OPENED_AT,
    lastSeenAt: OPENED_AT + 60_000,
    closedAt: undefined,
    closeCause: undefined,
    score: 0.9,
    value: 160,
    baseline: 100,
    delta: 60,
    percentChange: 60,
    zscores: [
      { window: 30, z: -3, median: 100, scale: 20, n: 30 },
      { window: 288, z: 20, median: 100, scale: 3, n: 288 },
    ],
    sparkline: "▁▁█",
    modelSha256: "abc",
    step: 60_000,
    historyFrom: OPENED_AT - 320 * 60_000,
    evidence: {
      kind: "open",
      opening,
      openedAt: OPENED_AT,
      lastSeenAt: OPENED_AT + 60_000,
      values: [160, 161],
      naming: { reason: "level_shift", direction: "up", final: true, minor: false },
      published: true,
      watch: { stream: "value", band: { low: 0, high: 130 } },
      points: 2,
      inside: 0,
      peak: 0.9,
    },
    ...change,
  };
}

/** The news of an anomaly's beginning, on its way to Slack. */
export function delivery(of: Anomaly, change: Partial<Delivery> = {}): Delivery {
  return {
    id: "1",
    channel: "slack",
    anomaly: of,
    status: "firing",
    traceparent: undefined,
    attempts: 1,
    ageMs: 0,
    ...change,
  };
}
