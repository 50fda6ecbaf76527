import { createLogger } from "../lib/log.ts";
import { runService } from "../lib/lifecycle.ts";
import type { Environment } from "../lib/config.ts";
import { secretsOf } from "../lib/secret.ts";
import { readDetectorConfig } from "./config.ts";
import { startDetector } from "./service.ts";

export { readDetectorConfig, shape as detectorVariables, type DetectorConfig } from "./config.ts";
export { startDetector, type DetectorOverrides } from "./service.ts";
export type { ReplayedEpisode } from "./replay.ts";
export type { Backtest } from "./tools/backtest.ts";
export type { Anomaly } from "./types.ts";
export { scoreNabFolder } from "./nab.ts";
export {
  backfillFeatures,
  backtestDetector,
  detectFile,
  trainDetector,
  type Training,
} from "./workbench.ts";

/** Runs the detector until SIGTERM or SIGINT. @returns the process's exit code @throws ConfigError */
export async function runDetector(env: Environment): Promise<number> {
  const config = readDetectorConfig(env);
  const log = createLogger({
    service: "detector",
    secrets: secretsOf(config),
    file: env["LOG_FILE"],
  });
  return runService(log, async () => startDetector(config, log));
}
