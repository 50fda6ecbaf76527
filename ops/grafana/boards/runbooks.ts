import { graph, sqlGraph, sqlTable, stat, type Board } from "../panels.ts";

const APPROVALS = `SELECT a.created_at, a.state, r.namespace, r.app, r.runbook, a.quorum, a.decided_by, a.decided_via,
     a.decided_at - a.created_at AS waited, a.reason, a.run_id
   FROM approvals a JOIN runs r ON r.id = a.run_id
   WHERE $__timeFilter(a.created_at) ORDER BY a.created_at DESC LIMIT 200`;

const RUNS = `SELECT created_at, state, namespace, app, runbook, dry_run, requested_by,
     finished_at - created_at AS took, outcome, id
   FROM runs WHERE $__timeFilter(created_at) ORDER BY created_at DESC LIMIT 200`;

export const runbooksAudit: Board = {
  name: "runbooks-audit",
  title: "Fettle - Runbooks Audit",
  rows: {
    "The record": [
      stat("Chains that do not fit", "max(runbooks_audit_problems)", { bad: 1 }),
      stat("Rows verified", "max(runbooks_audit_verified_rows)"),
      sqlGraph(
        "Events",
        `SELECT $__timeGroupAlias(ts, '5m'), event AS metric, count(*) AS value
         FROM runbooks_audit WHERE $__timeFilter(ts) GROUP BY 1, 2 ORDER BY 1`,
      ),
      sqlTable(
        "Newest rows",
        `SELECT ts, event, actor, namespace, app, action, target, run_id, correlation_id, trace_id
         FROM runbooks_audit WHERE $__timeFilter(ts) ORDER BY id DESC LIMIT 500`,
      ),
    ],
    Runs: [sqlTable("Runs", RUNS)],
    Approvals: [sqlTable("Approvals", APPROVALS)],
    Breakers: [
      sqlTable(
        "Circuit breakers",
        `SELECT b.app_key, b.state, b.reason, b.opened_at, b.opened_by,
           count(s.taken_at) FILTER (WHERE s.taken_at > now() - interval '1 hour') AS taken_last_hour,
           count(s.taken_at) FILTER (WHERE s.taken_at > now() - interval '1 day') AS taken_last_day
         FROM breakers b LEFT JOIN breaker_slots s ON s.app_key = b.app_key
         GROUP BY b.app_key ORDER BY b.state DESC, taken_last_day DESC LIMIT 200`,
      ),
      sqlTable(
        "Kill switches",
        "SELECT scope, by_whom, reason, at, until FROM kill_switches ORDER BY at DESC",
      ),
    ],
    Exports: [
      sqlTable(
        "Receipts",
        `SELECT received_at, destination, file_name, bytes, verified_by, sha256
         FROM audit_export_receipts WHERE $__timeFilter(received_at) ORDER BY received_at DESC LIMIT 100`,
      ),
    ],
  },
};

export const workflows: Board = {
  name: "workflows",
  title: "Fettle - Workflows",
  rows: {
    Runs: [
      stat(
        "Succeeded, 24 h",
        'sum(increase(runbooks_run_states_total{state="succeeded"}[1d])) or vector(0)',
      ),
      stat(
        "Failed or unknown, 24 h",
        'sum(increase(runbooks_run_states_total{state=~"failed|unknown"}[1d])) or vector(0)',
        {
          bad: 1,
        },
      ),
      graph("States reached", [
        ["sum by (state) (increase(runbooks_run_states_total[5m]))", "{{state}}"],
      ]),
      sqlTable("Runs", RUNS),
    ],
  },
};

export const workflowsAdvanced: Board = {
  name: "workflows-advanced",
  title: "Fettle - Workflows, advanced",
  rows: {
    Steps: [
      sqlTable(
        "Time until each step, of the newest runs",
        `SELECT a.run_id, r.runbook, a.event, a.ts, a.ts - lag(a.ts) OVER (PARTITION BY a.run_id ORDER BY a.id) AS after_the_last
         FROM runbooks_audit a JOIN runs r ON r.id = a.run_id
         WHERE $__timeFilter(a.ts) ORDER BY a.id DESC LIMIT 300`,
      ),
      sqlTable(
        "By runbook",
        `SELECT runbook, count(*) AS runs, count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
           count(*) FILTER (WHERE state IN ('failed', 'unknown')) AS need_a_person,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at)) AS median_seconds,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at)) AS p95_seconds
         FROM runs WHERE $__timeFilter(created_at) GROUP BY runbook ORDER BY runs DESC`,
      ),
    ],
    "What holds them": [
      sqlTable(
        "Why nothing was done",
        `SELECT event, namespace, app, count(*) AS times, max(ts) AS last
         FROM runbooks_audit WHERE event LIKE 'skipped%' AND $__timeFilter(ts)
         GROUP BY 1, 2, 3 ORDER BY times DESC LIMIT 100`,
      ),
      sqlTable("Approvals", APPROVALS),
    ],
    "Breakers and channels": [
      graph(
        "Oldest letter",
        [["max by (channel) (runbooks_outbox_oldest_age_seconds)", "{{channel}}"]],
        { unit: "s" },
      ),
      graph("Letters", [
        [
          "sum by (channel, result) (increase(runbooks_outbox_letters_total[5m]))",
          "{{channel}} {{result}}",
        ],
      ]),
      sqlTable(
        "Who runs",
        `SELECT id, role, host, version, started_at, seen_at, skew_ms FROM instances ORDER BY seen_at DESC LIMIT 50`,
      ),
    ],
  },
};
