import { Option } from "commander";
import type { AddCommands } from "../context.ts";
import { startAll } from "../all.ts";

const ROLES = ["both", "receiver", "executor"] as const;

/** `fettle detector | runbooks | exporter | hypervisor | all`: services, which run until they are told to stop. */
export const addServiceCommands: AddCommands = (program, { env }, finish) => {
  program
    .command("all")
    .description(
      "run the four services in one process (on an embedded database without AIOPS_DATABASE_URL)",
    )
    .action(async () => {
      finish(await startAll(env));
    });
  program
    .command("detector")
    .description("watch Prometheus and report anomalies")
    .action(async () => {
      const { runDetector } = await import("../../detector/main.ts");
      finish(await runDetector(env));
    });
  program
    .command("runbooks")
    .description("receive alerts and remediate by policy")
    .addOption(new Option("--role <role>", "what this process does (RUNBOOKS_ROLE)").choices(ROLES))
    .action(async ({ role }: { readonly role?: string }) => {
      const { runRunbooks } = await import("../../runbooks/main.ts");
      finish(await runRunbooks(role === undefined ? env : { ...env, RUNBOOKS_ROLE: role }));
    });
  program
    .command("exporter")
    .description("export the audit trail on a schedule")
    .action(async () => {
      const { runExporter } = await import("../../exporter/main.ts");
      finish(await runExporter(env));
    });
  program
    .command("hypervisor")
    .description("serve the REST API")
    .action(async () => {
      const { runHypervisor } = await import("../../hypervisor/main.ts");
      finish(await runHypervisor(env));
    });
};
