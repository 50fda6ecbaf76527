import type { Environment } from "./config.ts";
import { armFailpoint } from "./failpoint.ts";
import { runService, type RunningService } from "./lifecycle.ts";
import { createLogger, type Log } from "./log.ts";
import { secretsOf } from "./secret.ts";

/** Runs one service as this process, with its own log, until it is told to stop. @returns the exit code */
export async function runAlone<Config extends object>(
  service: string,
  config: Config,
  env: Environment,
  start: (config: Config, log: Log) => Promise<RunningService>,
): Promise<number> {
  armFailpoint(env["FETTLE_FAILPOINT"]);
  const log = createLogger({ service, secrets: secretsOf(config), file: env["LOG_FILE"] });
  return runService(log, async () => start(config, log));
}
