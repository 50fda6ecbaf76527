import { integer, optional, secret, withDefault } from "../../lib/config.ts";

export const guardVariables = {
  maxHourly: withDefault(
    "RUNBOOK_CIRCUIT_MAX_HOURLY",
    integer({ min: 0, max: 1000 }),
    3,
    "actions per app and hour",
  ),
  maxDaily: withDefault(
    "RUNBOOK_CIRCUIT_MAX_DAILY",
    integer({ min: 0, max: 10_000 }),
    10,
    "actions per app and day",
  ),
  redisUrl: optional(
    "RUNBOOK_REDIS_URL",
    secret,
    "Redis address of the breaker's fast shared view",
  ),
  cooldownSeconds: withDefault(
    "RUNBOOK_COOLDOWN_SECONDS",
    integer({ min: 0, max: 86_400 }),
    900,
    "a target is left alone after a run",
  ),
} as const;
