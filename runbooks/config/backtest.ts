import {
  optional,
  postgresUrl,
  readConfig,
  secret,
  url,
  type Config,
  type Environment,
} from "../../lib/config.ts";
import { approvalVariables } from "./approval.ts";
import { clusterVariables } from "./cluster.ts";
import { guardVariables } from "./guards.ts";
import { policyVariables } from "./policy.ts";
import { verifyVariables } from "./verify.ts";

/** What a backtest reads: the service's own settings, and only the address of the source that is asked for. */
const backtestShape = {
  ...policyVariables,
  ...approvalVariables,
  ...guardVariables,
  ...clusterVariables,
  ...verifyVariables,
  databaseUrl: optional(
    "AIOPS_DATABASE_URL",
    postgresUrl,
    "PostgreSQL address of Fettle's database",
  ),
  promUrl: optional("PROM_URL", url, "address of Prometheus"),
  promToken: optional("PROM_TOKEN", secret, "bearer token for Prometheus"),
} as const;

export type BacktestConfig = Config<typeof backtestShape>;

/** @throws ConfigError */
export function readBacktestConfig(env: Environment): BacktestConfig {
  return readConfig(backtestShape, env);
}
