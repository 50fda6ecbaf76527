import { choice, integer, text, withDefault } from "../../lib/config.ts";

export const roleVariables = {
  role: withDefault(
    "RUNBOOKS_ROLE",
    choice("both", "receiver", "executor"),
    "both",
    "receiver: HTTP only, without any right in the cluster; executor: does the work, and listens to nobody",
  ),
  executorHost: withDefault(
    "RUNBOOKS_EXECUTOR_HOST",
    text,
    "127.0.0.1",
    "where an executor alone answers /health, /ready and /metrics (on RUNBOOKS_PORT)",
  ),
  leaseSeconds: withDefault(
    "RUNBOOK_LEASE_SECONDS",
    integer({ min: 2, max: 300 }),
    30,
    "a killed worker's run is taken over after this",
  ),
} as const;
