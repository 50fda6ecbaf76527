import type { Environment } from "../lib/config.ts";
import { runAlone } from "../lib/run-alone.ts";
import { readDetectorConfig } from "./config.ts";
import { startDetector } from "./service.ts";

export { readDetectorConfig, shape as detectorVariables, type DetectorConfig } from "./config.ts";
export { startDetector, type DetectorOverrides } from "./service.ts";
export type { ReplayedEpisode } from "./replay.ts";
export type { Backtest } from "./tools/backtest.ts";
export { HISTORY_STEPS_MAX } from "./tools/history.ts";
export type { Proposal } from "./tools/propose.ts";
export type { Anomaly } from "./types/anomaly.ts";
export { scoreNabFolder } from "./nab.ts";
export {
  backfillFeatures,
  backtestDetector,
  detectFile,
  proposeDetectorThreshold,
  trainDetector,
  type Training,
} from "./workbench.ts";

/** Runs the detector until SIGTERM or SIGINT. @returns the process's exit code @throws ConfigError */
export async function runDetector(env: Environment): Promise<number> {
  return runAlone("detector", readDetectorConfig(env), env, startDetector);
}
