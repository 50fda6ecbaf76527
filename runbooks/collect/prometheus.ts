import { messageOf } from "../../lib/error.ts";
import type { CollectStep, RangeSeries } from "../types/collect.ts";
import type { Target } from "../types/target.ts";
import { lineChart } from "./chart.ts";
import { fileName } from "./files.ts";
import type { Basket, StepContext, StepPorts } from "./step.ts";

/** As cAdvisor and kube-state-metrics call them; `$namespace` and `$name` are the target's. */
const DEFAULT_QUERIES: Readonly<Record<string, string>> = {
  cpu: 'sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="$namespace",pod=~"$name-.*",container!=""}[5m]))',
  memory:
    'sum by (pod) (container_memory_working_set_bytes{namespace="$namespace",pod=~"$name-.*",container!=""})',
  restarts:
    'sum by (pod) (kube_pod_container_status_restarts_total{namespace="$namespace",pod=~"$name-.*"})',
};
const POINTS = 240;
const STEP_SECONDS_MIN = 15;
/** A chart of more cannot be read; the JSON file has them. */
const SERIES_SHOWN = 12;
const SERIES_MAX = 100;

/** How some metrics went around the beginning of the alert: as numbers, and as a picture. */
export async function collectPrometheus(
  { minutes, queries }: Extract<CollectStep, { readonly step: "prometheus" }>,
  { run, target, redact, signal }: StepContext,
  { metrics }: StepPorts,
  { keep, note }: Basket,
): Promise<void> {
  if (metrics === undefined) {
    note("no Prometheus is configured (PROM_URL)");
    return;
  }
  const period = periodOf(run.trigger.startsAt, run.now, minutes);
  const asked = Object.keys(queries).length === 0 ? DEFAULT_QUERIES : queries;
  const ask = async ([name, template]: readonly [string, string]) => {
    const query = filled(template, target);
    try {
      const found = await metrics.range({ query, ...period }, signal);
      const series = found.slice(0, SERIES_MAX).map(({ labels, points }) => ({
        labels: redact.object(labels) as RangeSeries["labels"],
        points,
      }));
      if (found.length === 0) note(`${name}: no series`);
      if (found.length > SERIES_MAX) note(`${name}: ${SERIES_MAX} of ${found.length} series`);
      const about = { query: redact.text(query), ...period };
      keep({ name: `${fileName("metrics", name)}.json`, text: toJson({ ...about, series }) });
      if (found.length === 0) return;
      const shown = series.slice(0, SERIES_SHOWN);
      const alertAt = new Date(run.trigger.startsAt);
      const text = lineChart({ title: name, series: shown, ...period, alertAt });
      keep({ name: `${fileName("metrics", name)}.svg`, text });
    } catch (error) {
      note(`${name}: ${messageOf(error)}`);
    }
  };
  await Promise.all(Object.entries(asked).map(ask));
}

/** Names of Kubernetes have no characters that mean something in a string of PromQL, or of a regular expression but dots. */
function filled(template: string, { namespace, name, app }: Target): string {
  const values: Readonly<Record<string, string>> = { namespace, name, app };
  return template.replace(/\$(namespace|name|app)\b/g, (_, key: string) =>
    (values[key] ?? "").replace(/[^\w.-]/g, "").replaceAll(".", "\\\\."),
  );
}

/** From so long before the alert to so long after it, as far as that has come. */
function periodOf(startsAt: string, now: Date, minutes: number) {
  const around = minutes * 60_000;
  const start = Date.parse(startsAt);
  // An alert that says nonsense, or fires for days: the last minutes are what is of interest.
  const isRecent = now.getTime() - start < around && start <= now.getTime();
  const middle = isRecent ? start : now.getTime();
  const from = new Date(middle - around);
  const to = new Date(Math.min(middle + around, now.getTime()));
  const seconds = (to.getTime() - from.getTime()) / 1000;
  return { from, to, stepSeconds: Math.max(STEP_SECONDS_MIN, Math.ceil(seconds / POINTS)) };
}

/** NaN and the infinities are no JSON: they become null. */
function toJson(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
