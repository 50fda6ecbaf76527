import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { frameOf } from "../../detector/alert.ts";
import { closeAnomaly } from "../../detector/anomaly.ts";
import { fingerprint } from "../../detector/fingerprint.ts";
import { seriesId, targetOf } from "../../detector/series.ts";
import { sparkline } from "../../detector/sparkline.ts";
import { alertFrameSchema, type AlertFrame } from "../../lib/contracts.ts";
import { anomaly } from "./given-anomaly.ts";

const RECORDED = new URL("../fixtures/alertmanager-0.25.jsonl", import.meta.url);

test("fingerprints are the ones that a real Alertmanager sent", () => {
  const frames = readFileSync(RECORDED, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as AlertFrame);
  const alerts = frames.flatMap((frame) => frame.alerts);

  expect(alerts.length).toBeGreaterThan(1);
  expect(alerts.map(({ labels }) => fingerprint(labels))).toEqual(
    alerts.map((alert) => alert.fingerprint),
  );
});

test("the order of the labels does not matter to the fingerprint or the series id, their values do", () => {
  expect(fingerprint({ a: "1", b: "2" })).toBe(fingerprint({ b: "2", a: "1" }));
  expect(fingerprint({ a: "1" })).not.toBe(fingerprint({ a: "2" }));
  expect(fingerprint({})).toBe("cbf29ce484222325");
  expect(seriesId({ a: "1", b: "2" })).toBe(seriesId({ b: "2", a: "1" }));
  expect(seriesId({ a: "1" })).toMatch(/^[0-9a-f]{12}$/);
});

test("the frame is one that the receiver's schema takes, with the labels by which runbooks look", () => {
  const frame = frameOf(anomaly(), "firing");

  expect(alertFrameSchema.safeParse(frame).success).toBe(true);
  expect(frame.receiver).toBe("fettle-detector");
  expect(frame.alerts[0]).toMatchObject({
    status: "firing",
    startsAt: "2026-11-20T10:00:00.000Z",
    endsAt: "0001-01-01T00:00:00Z",
    labels: {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      reason: "level_shift",
      namespace: "shop",
      app: "checkout",
      severity: "warning",
    },
    annotations: {
      baseline: "100",
      current: "160",
      delta: "60",
      score: "0.90",
      zscore: "20",
      window: "288",
      direction: "up",
      sparkline: "▁▁█",
      summary: "latency_p99: level shift up, 160 against 100",
    },
  });
  expect(frame.alerts[0].fingerprint).toBe(fingerprint(frame.alerts[0].labels));
});

test("labels that say nothing are left out: an empty label would change the fingerprint", () => {
  const { labels } = frameOf(anomaly({ namespace: "", app: "" }), "firing").alerts[0];

  expect(Object.keys(labels).sort()).toEqual([
    "alertname",
    "metric",
    "reason",
    "series",
    "severity",
  ]);
});

test("the end has the same labels and fingerprint as the beginning, and a time", () => {
  const open = anomaly();
  const closed = frameOf(
    closeAnomaly(open, Date.parse("2026-11-20T12:00:00Z"), "recovered"),
    "resolved",
  );

  expect(closed.status).toBe("resolved");
  expect(closed.alerts[0].endsAt).toBe("2026-11-20T12:00:00.000Z");
  expect(closed.alerts[0].fingerprint).toBe(frameOf(open, "firing").alerts[0].fingerprint);
});

test.each([
  [
    { namespace: "n", app: "a", job: "j" },
    { namespace: "n", app: "a" },
  ],
  [
    { deployment: "d", service: "s" },
    { namespace: "", app: "d" },
  ],
  [
    { app: "", job: "j" },
    { namespace: "", app: "j" },
  ],
  [{}, { namespace: "", app: "" }],
])("the target of %j is %j", (labels, target) => {
  expect(targetOf(labels)).toEqual(target);
});

test("a sparkline shows lowest to highest, and takes any number", () => {
  expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7])).toBe("▁▂▃▄▅▆▇█");
  expect(sparkline([5, 5, NaN])).toBe("▄▄ ");
  expect(sparkline([-1.7e308, 1.7e308])).toBe("▁█");
  fc.assert(
    fc.property(fc.array(fc.double()), (values) => {
      expect(Array.from(sparkline(values))).toHaveLength(values.length);
    }),
  );
});
