-- The role that Grafana reads with: `psql "$ADMIN_URL" -v password="$PASSWORD" -f ops/grafana/reader.sql`, again after upgrades and for
-- a new password. As a superuser, in Fettle's database: the owner may neither make roles nor grant pg_monitor.
-- It sees what the dashboards show, and no secrets: none of the tables with sessions, tokens or raw deliveries.
SELECT format('CREATE ROLE fettle_grafana LOGIN PASSWORD %L', :'password')
  WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'fettle_grafana') \gexec
SELECT format('ALTER ROLE fettle_grafana LOGIN PASSWORD %L', :'password') \gexec
GRANT USAGE ON SCHEMA public TO fettle_grafana;
GRANT SELECT ON runs, approvals, approval_votes, breakers, breaker_slots, kill_switches, runbooks_audit, episodes,
  instances, aiops_anomalies, aiops_labels, audit_export_receipts TO fettle_grafana;
GRANT pg_monitor TO fettle_grafana;
ALTER ROLE fettle_grafana SET statement_timeout = '15s';
ALTER ROLE fettle_grafana SET default_transaction_read_only = on;
