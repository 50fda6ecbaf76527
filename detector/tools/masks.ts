import { seriesId } from "../series.ts";
import type { Labels } from "../types/source.ts";
import type { Mask } from "../types/training.ts";
import type { MetricHistory } from "./history.ts";

/** Masks that a model row lists; the rest is only counted. */
const LISTED_MAX = 100;
/** Labels that name a workload. `job` may: it is often only the name of a scrape job, which says nothing. */
const WORKLOAD_LABELS = ["app", "deployment", "statefulset", "daemonset", "service"];

/** One series, as masks speak about it. */
interface MaskedSeries {
  readonly metric: string;
  readonly series: string;
  readonly labels: Labels;
}

/** The masks that are about a series. */
export function masksOf(series: MaskedSeries, masks: readonly Mask[]): readonly Mask[] {
  return masks.filter((mask) =>
    "metric" in mask
      ? mask.metric === series.metric && (mask.series ?? series.series) === series.series
      : isAboutWorkload(series.labels, mask),
  );
}

/** A series of a namespace that names no workload adds up all of them, and so this one. */
function isAboutWorkload(
  labels: Labels,
  { namespace, app }: { readonly namespace: string; readonly app: string },
): boolean {
  if (isOfHypervisor(labels)) return labels["project"] === namespace && labels["container"] === app;
  if (labels["namespace"] !== namespace) return false;
  const named = WORKLOAD_LABELS.flatMap((name) => labels[name] ?? []);
  return named.length === 0 || named.includes(app) || labels["job"] === app;
}

/** Kubernetes has a label `container` as well; only with a project, and without a pod, it is the hypervisor's. */
function isOfHypervisor(labels: Labels): boolean {
  return ["container", "project"].every((name) => name in labels) && !("pod" in labels);
}

/** Whether one of a series' own masks holds at a time. */
export function isMasked(own: readonly Mask[], t: number): boolean {
  return own.some(({ from, to }) => from <= t && t <= to);
}

/** What was left out, as the model row states it. */
export interface LeftOut {
  readonly windows: number;
  /** The newest; RFC 3339 times, `to` is null while it lasts. */
  readonly list: readonly object[];
}

/** The masks that really took something away from a history. */
export function leftOut(history: readonly MetricHistory[], masks: readonly Mask[]): LeftOut {
  const used = new Set<Mask>();
  for (const { query, series } of history) {
    for (const { labels, points } of series) {
      const [first, last] = [points.at(0)?.t, points.at(-1)?.t];
      if (first === undefined || last === undefined) continue;
      const own = masksOf({ metric: query.name, series: seriesId(labels), labels }, masks);
      for (const mask of own) {
        if (mask.from <= last && first <= mask.to) used.add(mask);
      }
    }
  }
  const newest = [...used].toSorted((one, other) => other.from - one.from);
  return { windows: used.size, list: newest.slice(0, LISTED_MAX).map(shown) };
}

function shown({ from, to, ...rest }: Mask): object {
  const time = (t: number) => (Number.isFinite(t) ? new Date(t).toISOString() : null);
  return { ...rest, from: time(from), to: time(to) };
}
