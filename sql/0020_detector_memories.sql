-- Up Migration

-- What the scorer knew of an old series just before an anomaly opened: 34 kB that its history in Prometheus cannot give any
-- more. Apart from aiops_anomalies, whose rows are read by the hundred.
CREATE TABLE aiops_memories (
  anomaly_id text  PRIMARY KEY REFERENCES aiops_anomalies (id) ON DELETE CASCADE,
  memory     bytea NOT NULL CHECK (octet_length(memory) <= 1048576)
);
