import pg from "pg";

/** Rows of each kind that a dashboard or a backup shows: a run with its record, its approval, an anomaly, an export. */
export async function givenHistory(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of STATEMENTS) await client.query(statement);
  } finally {
    await client.end();
  }
}

const HASH = "0".repeat(64);

const STATEMENTS: readonly string[] = [
  `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, created_at, finished_at, outcome, look_at)
   VALUES ('run_1', 'default/shop/Deployment/web', 'latency', 'succeeded', 'shop', 'web', '{}', now(), now() - interval '1 hour',
     now() - interval '59 minutes', 'It helped.', NULL)`,
  `INSERT INTO runbooks_audit (run_id, event, actor, namespace, app, action, detail) VALUES
     ('run_1', 'request', 'fettle', 'shop', 'web', 'rollout_restart', '{}'),
     ('run_1', 'approved', 'ana', 'shop', 'web', 'rollout_restart', '{}'),
     (NULL, 'skipped_circuit', 'fettle', 'shop', 'web', NULL, '{}'),
     (NULL, 'container_started', 'ana', NULL, NULL, NULL,
       '{"resource_type": "container", "resource_id": "web", "result": "Success", "summary": "", "ip": "127.0.0.1"}')`,
  `INSERT INTO approvals (id, run_id, plan_hash, state, expires_at, decided_by, decided_via, decided_at)
   VALUES ('apr_1', 'run_1', '${HASH}', 'approved', now(), 'ana', 'page', now())`,
  `INSERT INTO approval_votes (approval_id, person, account, verdict, via) VALUES ('apr_1', 'ana', 'ana', 'approved', 'page')`,
  `INSERT INTO kill_switches (scope, by_whom, reason, until) VALUES ('elsewhere/web', 'ana', 'rehearsal', now())`,
  `INSERT INTO audit_drills (recipient, destination, last_ok_at, file_name) VALUES ('local', 'folder', now(), 'audit-20261120.csv')`,
  `INSERT INTO breakers (app_key) VALUES ('shop/web')`,
  `INSERT INTO breaker_slots (run_id, app_key) VALUES ('run_1', 'shop/web')`,
  `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at, run_id, resolved_at)
   VALUES ('alertmanager', 'f', '{"alertname": "High", "namespace": "shop"}', '{}', now(), now(), 'run_1', now())`,
  `INSERT INTO aiops_anomalies (id, metric, expr, series, labels, reason, direction, severity, opened_at, last_seen_at, closed_at,
     close_cause, score, value, baseline, delta, zscores, sparkline, evidence)
   VALUES ('ano_1', 'gone', 'x', '0123456789ab', '{}', 'level_shift', 'up', 'warning', now(), now(), NULL, NULL, 0.9, 2, 1, 1,
     '[{"window": 12, "z": 7.5}]', '', '{"watch": {"stream": "value", "band": {"low": 0.5, "high": 1.5}}}')`,
  `INSERT INTO aiops_labels (anomaly_id, label, by) VALUES ('ano_1', 'real', 'ana')`,
  `INSERT INTO audit_exports (export_id, state, file_name, stored_name, formula, horizon_xid, last_xid, last_id, cutoff, rows, done_at)
   VALUES ('00000000-0000-4000-8000-000000000001', 'done', 'audit-20261120.csv', 'audit-20261120.csv', 'escape', '1', '1', 0, now(), 1, now())`,
  `INSERT INTO audit_export_receipts (export_id, destination, file_name, location, sha256, bytes, verified_by, adopted)
   VALUES ('00000000-0000-4000-8000-000000000001', 'folder', 'audit-20261120.csv', '/exports', '${HASH}', 1, 'read-back-sha256', false)`,
];
