import { expect, test } from "@jest/globals";
import { finishNotices } from "../../detector/finish.ts";
import type { Anomaly } from "../../detector/types/anomaly.ts";
import type { WatchedMetric } from "../../detector/watched-metric.ts";
import { anomaly } from "./given-anomaly.ts";

const METRIC = { series: new Map() } as unknown as WatchedMetric;

async function finished(given: Anomaly, down = false): Promise<Anomaly | undefined> {
  const [notice] = await finishNotices(METRIC, [{ kind: "published", anomaly: given }], {
    step: 60_000,
    pageThreshold: 0.85,
    downTargets: async () => () => down,
  });
  return notice?.anomaly;
}

test.each([
  [0.65, "warning"],
  [0.849, "warning"],
  [0.85, "critical"],
  [1, "critical"],
])("a score of %d is %s", async (score, severity) => {
  expect((await finished(anomaly({ score })))?.severity).toBe(severity);
});

test("only a missing series can be a stale scrape, and only when its target is down", async () => {
  expect((await finished(anomaly({ reason: "absent" }), true))?.reason).toBe("stale_scrape");
  expect((await finished(anomaly({ reason: "absent" }), false))?.reason).toBe("absent");
  expect((await finished(anomaly({ reason: "drop_to_zero" }), true))?.reason).toBe("drop_to_zero");
});

test("the end keeps the severity and the reason of the beginning", async () => {
  const closed = anomaly({ severity: "critical", reason: "stale_scrape", closedAt: 5 });
  const deps = { step: 1, pageThreshold: 1, downTargets: async () => () => false };

  const [notice] = await finishNotices(METRIC, [{ kind: "closed", anomaly: closed }], deps);

  expect(notice?.anomaly).toEqual(closed);
});
