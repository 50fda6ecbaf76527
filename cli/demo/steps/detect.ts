import type { Anomaly } from "../../../detector/main.ts";
import { waitFor } from "../wait.ts";
import type { DemoWorld } from "../world.ts";

/** Replaying two hours at the demo's rate takes 30 s. */
const ANOMALY_SECONDS = 90;

/** Waits until the detector finds something strange, and shows why it thinks so. */
export async function awaitAnomaly({ anomalies, narrator, clock }: DemoWorld): Promise<Anomaly> {
  narrator.step("Watching");
  const anomaly = await waitFor(
    "an anomaly in the metrics (nothing strange, nothing to do)",
    ANOMALY_SECONDS,
    async () => anomalies.published.at(0),
  );
  for (const [metric, points] of anomalies.backfilled)
    narrator.say(`${metric}: ${points} past points read`);
  const {
    metric,
    labels,
    reason,
    direction,
    score,
    value,
    baseline,
    zscores,
    openedAt,
    sparkline,
  } = anomaly;
  narrator.highlight(`${metric}{${describeLabels(labels)}}  ${reason} ${direction}`);
  narrator.say(sparkline);
  narrator.say(
    `usually ${baseline.toPrecision(3)}, now ${value.toPrecision(3)}; anomaly score ${score.toFixed(2)} of 1`,
  );
  narrator.say(
    zscores.map(({ window, z }) => `z = ${z.toFixed(1)} over ${window} points`).join(", "),
  );
  const minutes = Math.max(0, (clock.now().getTime() - openedAt) / 60_000);
  narrator.say(
    `began ${new Date(openedAt).toISOString().slice(11, 16)} UTC, seen ${minutes.toFixed(0)} min later (metrics' time)`,
  );
  return anomaly;
}

function describeLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .filter(([name]) => name !== "__name__")
    .map(([name, value]) => `${name}="${value}"`)
    .join(",");
}
