import {
  ConfigError,
  optional,
  postgresUrl,
  readConfig,
  type Config,
  type Environment,
} from "../../lib/config.ts";
import { approvalVariables } from "./approval.ts";
import { clusterVariables } from "./cluster.ts";
import { guardVariables } from "./guards.ts";
import { policyVariables } from "./policy.ts";
import { verifyProblems, verifyVariables } from "./verify.ts";

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
} as const;

export type BacktestConfig = Config<typeof backtestShape>;

/** @throws ConfigError */
export function readBacktestConfig(env: Environment): BacktestConfig {
  const config = readConfig(backtestShape, env);
  const problems = verifyProblems(config);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}
