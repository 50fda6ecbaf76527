import type { Environment } from "../lib/config.ts";
import { armFailpoint } from "../lib/failpoint.ts";
import { runService } from "../lib/lifecycle.ts";
import { createLogger } from "../lib/log.ts";
import { secretsOf } from "../lib/secret.ts";
import { readExporterConfig } from "./config.ts";
import { startExporter } from "./service.ts";

export { readExporterConfig, shape as exporterVariables, type ExporterConfig } from "./config.ts";
export type { DecryptRequest, DecryptResult } from "./decrypt.ts";
export { decryptFile, exportOnce, startExporter, type ExportOptions } from "./service.ts";
export type { ExportResult, Progress, Receipt } from "./types.ts";

/** `fettle exporter`: exports by the clock until it is told to stop. */
export async function runExporter(env: Environment): Promise<number> {
  const config = readExporterConfig(env);
  armFailpoint(env["FETTLE_FAILPOINT"]);
  const log = createLogger({
    service: "exporter",
    secrets: secretsOf(config),
    file: env["LOG_FILE"],
  });
  return runService(log, async () => startExporter(config, log));
}
