import { graph, logs, stat, table, type Board } from "../panels.ts";

/** GitHub's exporter says 1 for a success, 0 for a failure, more for what has not ended. */
const RUNS = "github_workflow_run_status";

export const ciCd: Board = {
  name: "ci-cd",
  title: "Fettle - CI/CD",
  rows: {
    Workflows: [
      stat("Runs that failed", `count(${RUNS} == 0) or vector(0)`, { bad: 1 }),
      stat("Success rate", `sum(${RUNS} == bool 1) / count(${RUNS} <= 1)`, {
        unit: "percentunit",
        warn: 0.95,
        bad: 0.8,
      }),
      graph("Duration", [["max by (workflow) (github_workflow_run_duration_ms)", "{{workflow}}"]], {
        unit: "ms",
      }),
      table("Newest state", `max by (repo, workflow, run_number, status) (${RUNS})`),
      table("Failed", `${RUNS} == 0`),
    ],
  },
};

export const securityEvents: Board = {
  name: "security-events",
  title: "Fettle - Security Events",
  rows: {
    Falco: [
      stat(
        "Critical events, a minute",
        '60 * sum(falco:events:rate5m{priority=~"(?i:0|1|2|emergency|alert|critical)"}) or vector(0)',
        {
          bad: 0.01,
        },
      ),
      graph(
        "Events a minute",
        [["60 * sum by (rule, priority) (falco:events:rate5m)", "{{rule}} ({{priority}})"]],
        {
          span: 18,
        },
      ),
      logs("Falco's events", '{app="falco"} | json'),
    ],
    "Kubernetes' audit log": [
      logs(
        "What people and programs changed",
        '{job="kubernetes-audit"} | json | verb=~"create|update|patch|delete"',
      ),
      logs("Refused", '{job="kubernetes-audit"} | json | responseStatus_code=~"401|403"'),
    ],
    Fettle: [
      graph("Requests refused", [
        [
          'sum by (service, status) (rate(fettle_http_requests_total{status=~"401|403|413"}[$__rate_interval]))',
          "{{service}} {{status}}",
        ],
      ]),
      graph("Connections refused", [
        ["sum(increase(runbooks_connections_refused_total[5m]))", "refused"],
      ]),
    ],
  },
};
