import type { Environment } from "../lib/config.ts";
import { runAlone } from "../lib/run-alone.ts";
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
  return runAlone("hypervisor", readHypervisorConfig(env), env, startHypervisor);
}
