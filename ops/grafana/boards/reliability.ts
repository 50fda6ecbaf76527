import { dial, graph, logs, sqlTable, stat, table, type Board } from "../panels.ts";

const DAY_SECONDS = 86_400;

export const drBackups: Board = {
  name: "dr-backups",
  title: "Fettle - DR & Backups",
  rows: {
    "Are they there": [
      table("Targets", 'up{job=~"backend|detector|runbooks.*|exporter|hypervisor"}'),
    ],
    Drills: [
      stat(
        "Since the last restore drill",
        "time() - max(max_over_time(last_successful_drill_timestamp_seconds[3d]))",
        { unit: "s", warn: DAY_SECONDS, bad: 2 * DAY_SECONDS },
      ),
      stat(
        "Since the last export",
        "time() - max(audit_export_last_success_timestamp_seconds > 0)",
        { unit: "s", warn: DAY_SECONDS, bad: 2 * DAY_SECONDS },
      ),
      stat(
        "Since each key opened an export",
        "time() - max by (recipient) (audit_decrypt_drill_last_success_timestamp_seconds)",
        { unit: "s", warn: DAY_SECONDS, bad: 2 * DAY_SECONDS },
      ),
      stat(
        "Since the record was found sound",
        "time() - max(runbooks_audit_verified_timestamp_seconds > 0)",
        {
          unit: "s",
          warn: 3_600,
          bad: 7_200,
        },
      ),
      graph(
        "Ages of the drills",
        [
          ["time() - max(last_successful_drill_timestamp_seconds)", "restore"],
          [
            "time() - max by (recipient) (audit_decrypt_drill_last_success_timestamp_seconds)",
            "key {{recipient}}",
          ],
        ],
        { unit: "s", span: 24 },
      ),
    ],
    Exports: [
      sqlTable(
        "Receipts",
        `SELECT received_at, destination, file_name, bytes, verified_by, adopted, location, sha256
         FROM audit_export_receipts WHERE $__timeFilter(received_at) ORDER BY received_at DESC LIMIT 100`,
      ),
      graph("Rows and failures", [
        ["sum(increase(audit_export_rows_total[1h]))", "rows"],
        ["sum(increase(audit_export_failures_total[1h]))", "failures"],
      ]),
      graph(
        "Rows held back by an open transaction",
        [["max(audit_export_horizon_age_seconds)", "oldest"]],
        {
          unit: "s",
        },
      ),
    ],
  },
};

export const alerts: Board = {
  name: "alerts",
  title: "Fettle - Alerts",
  rows: {
    Now: [
      stat("Critical", 'count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)', {
        bad: 1,
      }),
      stat("Warnings", 'count(ALERTS{alertstate="firing",severity="warning"}) or vector(0)', {
        warn: 1,
      }),
      stat("Watchdog", 'count(ALERTS{alertname="Watchdog",alertstate="firing"})', {
        warn: 1,
        bad: 0.5,
      }),
      stat("Deliveries waiting", "max(runbooks_inbox_waiting)", { warn: 1, bad: 1000 }),
      table("Firing", 'ALERTS{alertstate="firing"}'),
    ],
    "Over time": [
      graph("Firing", [['count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}"]]),
      graph("Alerts taken by Fettle", [
        ["sum by (kind) (increase(runbooks_alerts_received_total[5m]))", "{{kind}}"],
      ]),
      sqlTable(
        "Episodes",
        `SELECT first_starts_at, resolved_at, source, labels->>'alertname' AS alert,
           labels->>'namespace' AS namespace, opened, run_id
         FROM episodes WHERE $__timeFilter(first_starts_at) OR resolved_at IS NULL
         ORDER BY first_starts_at DESC LIMIT 200`,
      ),
      logs("Errors of the services", '{service=~".+"} | json | level="error"'),
    ],
  },
};

export const slos: Board = {
  name: "slos",
  title: "Fettle - SLOs",
  rows: {
    Level: [
      dial("Success rate", "min(http_requests:success_rate)", {
        unit: "percentunit",
        min: 0.9,
        max: 1,
        warn: 0.995,
        bad: 0.99,
      }),
      stat("Objective", "http_requests:slo_objective", { unit: "percentunit" }),
      stat("99th percentile of latency", "max(http_requests:latency_p99)", {
        unit: "s",
        warn: 0.5,
        bad: 1,
      }),
      stat(
        "Error budget left, 3 days",
        "1 - max(http_requests:error_ratio_3d) / (1 - max(http_requests:slo_objective))",
        { unit: "percentunit", warn: 0.5, bad: 0 },
      ),
    ],
    Burn: [
      graph(
        "How many times too fast the budget is spent",
        [
          [
            "http_requests:error_ratio_5m / on () group_left () (1 - http_requests:slo_objective)",
            "{{app}} 5 m",
          ],
          [
            "http_requests:error_ratio_1h / on () group_left () (1 - http_requests:slo_objective)",
            "{{app}} 1 h",
          ],
          [
            "http_requests:error_ratio_6h / on () group_left () (1 - http_requests:slo_objective)",
            "{{app}} 6 h",
          ],
        ],
        { min: 0, span: 24 },
      ),
      graph("Success rate", [["http_requests:success_rate", "{{namespace}} {{app}}"]], {
        unit: "percentunit",
      }),
      graph(
        "99th percentile of latency",
        [["http_requests:latency_p99", "{{namespace}} {{app}}"]],
        {
          unit: "s",
        },
      ),
    ],
  },
};
