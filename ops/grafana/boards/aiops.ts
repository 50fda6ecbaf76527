import { graph, sqlTable, stat, table, type Board } from "../panels.ts";

export const aiops: Board = {
  name: "aiops",
  title: "Fettle - AIOps",
  rows: {
    Anomalies: [
      stat("Open anomalies", "sum(max by (metric, series) (aiops_anomaly_current))", { bad: 1 }),
      stat("Series watched", "count(max by (metric, series) (aiops_anomaly_score))"),
      stat(
        "Queries without an answer, 1 h",
        "sum(increase(aiops_query_errors_total[1h])) or vector(0)",
        {
          bad: 1,
        },
      ),
      stat("Age of the model", "time() - min(aiops_model_trained_timestamp_seconds > 0)", {
        unit: "s",
      }),
      table("Open now", "max by (metric, series) (aiops_anomaly_current) == 1"),
      graph("Score", [["max by (metric) (aiops_anomaly_score)", "{{metric}}"]], {
        min: 0,
        max: 1,
        span: 24,
      }),
    ],
    "The detector": [
      graph("Points scored a second", [
        ["sum by (metric) (rate(aiops_series_scored_total[$__rate_interval]))", "{{metric}}"],
      ]),
      graph(
        "A cycle takes",
        [
          [
            "histogram_quantile(0.99, sum by (le) (rate(aiops_cycle_duration_seconds_bucket[$__rate_interval])))",
            "99 %",
          ],
        ],
        { unit: "s" },
      ),
      graph("Alerts delivered", [
        [
          "sum by (channel, result) (increase(aiops_alert_deliveries_total[5m]))",
          "{{channel}} {{result}}",
        ],
      ]),
      graph("Who watches how much", [["sum by (instance) (aiops_group_owned)", "{{instance}}"]]),
    ],
  },
};

export const aiopsXai: Board = {
  name: "aiops-xai",
  title: "Fettle - AIOps XAI",
  rows: {
    "Anomalies and their reasons": [
      table(
        "Open now, and why",
        "max by (metric, series, reason, namespace, app) (aiops_anomaly_info)",
      ),
      sqlTable(
        "What was expected, and what came",
        `SELECT opened_at, closed_at, metric, namespace, app, reason, direction, severity,
           round(score::numeric, 3) AS score, value, baseline, delta, percent_change,
           (evidence->'watch'->'band'->>'low')::float8 AS expected_low,
           (evidence->'watch'->'band'->>'high')::float8 AS expected_high,
           evidence->'watch'->>'stream' AS stream, sparkline
         FROM aiops_anomalies WHERE $__timeFilter(opened_at) OR closed_at IS NULL
         ORDER BY opened_at DESC LIMIT 200`,
      ),
    ],
    "Score and expected band": [
      graph(
        "Score over time",
        [["max by (metric, series) (aiops_anomaly_score)", "{{metric}} {{series}}"]],
        {
          min: 0,
          max: 1,
          span: 24,
        },
      ),
      graph("How far from the usual (delta)", [
        ["max by (metric, series) (aiops_anomaly_delta)", "{{metric}} {{series}}"],
      ]),
      graph("Widest jump in usual spreads (|z|)", [
        ["max by (metric) (abs(aiops_anomaly_zscore))", "{{metric}}"],
      ]),
    ],
    "z-scores by window": [
      graph(
        "z by window",
        [["max by (metric, window) (aiops_anomaly_zscore)", "{{metric}} over {{window}}"]],
        { span: 24 },
      ),
      sqlTable(
        "z-scores of open anomalies",
        `SELECT a.metric, a.series, z.value->>'window' AS "window", (z.value->>'z')::float8 AS z
         FROM aiops_anomalies a, jsonb_array_elements(a.zscores) z
         WHERE a.closed_at IS NULL ORDER BY a.metric, a.series, (z.value->>'window')::int LIMIT 500`,
      ),
    ],
    "What people said": [
      sqlTable(
        "Labels",
        `SELECT l.created_at, a.metric, a.reason, l.label, l.by, l.note
         FROM aiops_labels l JOIN aiops_anomalies a ON a.id = l.anomaly_id
         WHERE $__timeFilter(l.created_at) ORDER BY l.id DESC LIMIT 100`,
      ),
    ],
  },
};
