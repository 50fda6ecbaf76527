import type { Environment } from "../lib/config.ts";
import { runAlone } from "../lib/run-alone.ts";
import { readExporterConfig } from "./config.ts";
import { startExporter } from "./service.ts";

export { readExporterConfig, shape as exporterVariables, type ExporterConfig } from "./config.ts";
export { readKmsConfig } from "../lib/envelope/config-kms.ts";
export type { CheckReport } from "./check.ts";
export type { DecryptRequest, DecryptResult } from "./decrypt.ts";
export type { DrillResult } from "./drill.ts";
export type { RetainResult } from "./retain.ts";
export { exportOnce, startExporter, type ExportOptions } from "./service.ts";
export type { ExportResult, Progress, Receipt } from "./types.ts";
export type { BackupResult } from "./backup.ts";
export type { BackupManifest } from "./backup-manifest.ts";
export {
  backUpDatabase,
  decryptFile,
  drillExports,
  findBackups,
  restoreDatabase,
  retainExports,
  verifyFiles,
  type ReadingKeys,
} from "./workbench.ts";

/** `fettle exporter`: exports by the clock until it is told to stop. */
export async function runExporter(env: Environment): Promise<number> {
  return runAlone("exporter", readExporterConfig(env), env, startExporter);
}
