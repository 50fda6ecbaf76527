import type { Environment } from "../lib/config.ts";
import { runService } from "../lib/lifecycle.ts";
import { createLogger } from "../lib/log.ts";
import { secretsOf } from "../lib/secret.ts";
import { readHypervisorConfig } from "./config.ts";
import { startHypervisor } from "./service.ts";

export {
  readHypervisorConfig,
  shape as hypervisorVariables,
  type HypervisorConfig,
} from "./config.ts";
export { startHypervisor } from "./service.ts";

/** `fettle hypervisor`: serves the REST API until it is told to stop. */
export async function runHypervisor(env: Environment): Promise<number> {
  const config = readHypervisorConfig(env);
  const log = createLogger({
    service: "hypervisor",
    secrets: secretsOf(config),
    file: env["LOG_FILE"],
  });
  return runService(log, async () => startHypervisor(config, log));
}
