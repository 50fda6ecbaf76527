import { integer, withDefault } from "../../lib/config.ts";

export const roleVariables = {
  leaseSeconds: withDefault(
    "RUNBOOK_LEASE_SECONDS",
    integer({ min: 2, max: 300 }),
    30,
    "a killed worker's run is taken over after this",
  ),
} as const;
