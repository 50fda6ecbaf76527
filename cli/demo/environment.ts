import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Environment } from "../../lib/config.ts";
import type { Secret } from "../../lib/secret.ts";
import type { DemoKeys } from "./keys.ts";

export interface DemoSettings extends DemoKeys {
  readonly folder: string;
  readonly databaseUrl: string;
  readonly promUrl: string;
  readonly kubeconfig: string;
  readonly webhookSecret: Secret;
}

/** Who answers in the demo. */
export const APPROVER = "you";

/** The configuration that an operator would write, for the demo's servers. All ports are free ones. */
export function demoEnvironment(env: Environment, settings: DemoSettings): Environment {
  return {
    PROM_URL: settings.promUrl,
    PROM_TOKEN: env["PROM_TOKEN"],
    AIOPS_METRICS:
      env["AIOPS_METRICS"] ??
      "latency_p99=http_requests:latency_p99;success_rate=http_requests:success_rate",
    AIOPS_BACKFILL_POINTS: "1440",
    AIOPS_DATABASE_URL: settings.databaseUrl,
    AIOPS_WEBHOOK_SECRET: settings.webhookSecret.reveal(),
    DETECTOR_PORT: "0",
    RUNBOOKS_PORT: "0",
    EXPORTER_PORT: "0",
    HYPERVISOR_PORT: "0",
    HYPERVISOR_BACKEND: "memory",
    HYPERVISOR_ADMIN_PASSWORD: randomBytes(24).toString("base64url"), // nobody signs in: none is to be printed
    RUNBOOK_AUTOFIX_ENABLED: "true",
    RUNBOOK_AUTOFIX_DRY_RUN: "true",
    RUNBOOK_AUTOFIX_POLICY:
      env["RUNBOOK_AUTOFIX_POLICY"] ?? "latency_p99:level_shift=rollout_restart",
    RUNBOOK_APPROVERS: APPROVER,
    RUNBOOK_APPROVAL_SECRET: randomBytes(32).toString("hex"),
    KUBECONFIG: settings.kubeconfig,
    AUDIT_EXPORT_DIR: join(settings.folder, "exports"),
    AUDIT_WORK_DIR: join(settings.folder, "work"),
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEY_FILE: settings.pgpPublicKeyFile,
    AUDIT_LOCAL_KEY_FILE: settings.localKeyFile,
  };
}
