import type { AddCommands } from "../context.ts";
import { groupOf } from "../group.ts";

interface RbacOptions {
  readonly namespace: readonly string[];
  readonly serviceAccount: string;
}

/** `fettle k8s rbac`: the rights that the runbooks service needs, and no more. */
export const addKubernetesCommands: AddCommands = (program, context) => {
  groupOf(program, "k8s", "what the cluster must allow")
    .command("rbac")
    .description("print the Roles with which actions can be done in these namespaces")
    .requiredOption("--namespace <names...>", "namespaces that may be touched")
    .option(
      "--service-account <namespace/name>",
      "the account that the runbooks service runs as",
      "runbooks/fettle-executor",
    )
    .action(async ({ namespace: namespaces, serviceAccount }: RbacOptions) => {
      const { rbacManifest } = await import("../../runbooks/main.ts");
      context.out(rbacManifest({ namespaces, serviceAccount }).trimEnd());
    });
};
