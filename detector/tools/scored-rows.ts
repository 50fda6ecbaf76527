import { replaySeries, type ReplayOptions } from "../replay.ts";
import { seriesId } from "../series.ts";
import type { FeatureRow } from "../types/store.ts";
import type { MetricHistory } from "./history.ts";

/** The rows that the running detector would have written to the feature store, series by series. */
export function* scoredRows(
  history: readonly MetricHistory[],
  options: Omit<ReplayOptions, "onScore">,
): Generator<readonly FeatureRow[]> {
  for (const { query, series } of history) {
    for (const { labels, points } of series) {
      const rows: FeatureRow[] = [];
      const id = seriesId(labels);
      const onScore: ReplayOptions["onScore"] = ({ t: time, value, row: features, score }) => {
        rows.push({ time, metric: query.name, series: id, value, features, score });
      };
      replaySeries(points, { ...options, onScore });
      yield rows;
    }
  }
}
