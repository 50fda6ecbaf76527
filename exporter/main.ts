import type { Environment } from "../lib/config.ts";
import { runAlone } from "../lib/run-alone.ts";
import { readExporterConfig } from "./config.ts";
import { startExporter } from "./service.ts";

export { readExporterConfig, shape as exporterVariables, type ExporterConfig } from "./config.ts";
export type { DecryptRequest, DecryptResult } from "./decrypt.ts";
export { decryptFile, exportOnce, startExporter, type ExportOptions } from "./service.ts";
export type { ExportResult, Progress, Receipt } from "./types.ts";

/** `fettle exporter`: exports by the clock until it is told to stop. */
export async function runExporter(env: Environment): Promise<number> {
  return runAlone("exporter", readExporterConfig(env), env, startExporter);
}
