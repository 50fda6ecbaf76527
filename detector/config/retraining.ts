import { validate } from "node-cron";
import { z } from "zod";
import { integer, withDefault, type Environment, type Kind, type Shape } from "../../lib/config.ts";

const cron: Kind<string> = z.string().refine((value) => value === "off" || validate(value), {
  error: 'must be a cron expression such as "17 3 * * *", or off',
});

const timeZone: Kind<string> = z.string().refine(isTimeZone, {
  error: "must be a time zone such as UTC or Europe/Berlin",
});

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/** When a model is trained on one's own past, and on how much of it. */
export const retrainingVariables = {
  retrainCron: withDefault(
    "AIOPS_RETRAIN_CRON",
    cron,
    "17 3 * * *",
    "when a model is trained on your own past, or off; needs AIOPS_DATABASE_URL",
  ),
  retrainTimeZone: withDefault(
    "AIOPS_RETRAIN_TZ",
    timeZone,
    "UTC",
    "time zone of AIOPS_RETRAIN_CRON; elsewhere than in UTC a change to summer time may skip a night",
  ),
  retrainDays: withDefault(
    "AIOPS_RETRAIN_DAYS",
    integer({ min: 1, max: 365 }),
    14,
    "days of your own past that it learns from",
  ),
  retrainMemoryMb: withDefault(
    "AIOPS_RETRAIN_MEMORY_MB",
    integer({ min: 256, max: 65_536 }),
    768,
    "megabytes that the training process may allocate, besides the detector's own",
  ),
} as const;

/** What programs below us read: certificates, proxies, and the driver's own variables of PostgreSQL. */
const SYSTEM_VARIABLE =
  /^(PG[A-Z]+|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|NODE_USE_ENV_PROXY|(HTTPS?|NO)_PROXY|HOME|TZ)$/i;

/** The environment of a process that trains: the given tables' variables, and no secret that it has no use for. */
export function trainingEnvironment(
  shape: Shape,
  env: Environment,
): Readonly<Record<string, string>> {
  const names = new Set(Object.values(shape).flatMap(({ name }) => [name, `${name}_FILE`]));
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && (names.has(name) || SYSTEM_VARIABLE.test(name)) ? [[name, value]] : [],
    ),
  );
}
