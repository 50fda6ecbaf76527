import { Gauge, type Registry } from "prom-client";
import { systemClock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { readSigningKey } from "../lib/signed-note.ts";
import { checkUntil } from "./audit/check.ts";
import type { Signer } from "./audit/checkpoint.ts";
import { checkpointUntil } from "./audit/keep-checkpoints.ts";
import type { AuditStatus } from "./audit/status.ts";
import type { RunbooksConfig } from "./config.ts";

/** Looks after the record, until the stack stops. @throws when the signing key cannot be read */
export async function openAudit(
  config: Pick<RunbooksConfig, "auditSigningKeyFile" | "auditSigningKeyName">,
  shared: { readonly database: Database; readonly log: Log; readonly registry: Registry },
  stack: StopStack,
): Promise<void> {
  const { database, log, registry } = shared;
  const signer = await signerOf(config);
  const stopping = new AbortController();
  const { signal } = stopping;
  const deps = { database, log, clock: systemClock };
  const working = [
    checkUntil(signal, { ...deps, known: gaugesOf(registry) }),
    checkpointUntil(signal, { ...deps, signer }),
  ];
  stack.add("audit", async () => {
    stopping.abort();
    await Promise.all(working);
  });
}

async function signerOf({
  auditSigningKeyFile: file,
  auditSigningKeyName: keyName,
}: Pick<RunbooksConfig, "auditSigningKeyFile" | "auditSigningKeyName">): Promise<
  Signer | undefined
> {
  return file === undefined ? undefined : { keyName, privateKey: await readSigningKey(file) };
}

function gaugesOf(registry: Registry): (status: AuditStatus) => void {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] });
  const problems = gauge(
    "runbooks_audit_problems",
    "Chains of the record that do not fit, as found last (fettle audit verify names them)",
  );
  const verified = gauge(
    "runbooks_audit_verified_timestamp_seconds",
    "Everything written before this was recomputed and found sound; 0: never",
  );
  const rows = gauge("runbooks_audit_verified_rows", "Rows that were recomputed last");
  const checkpoint = gauge(
    "runbooks_audit_checkpoint_timestamp_seconds",
    "When the newest checkpoint was made; 0: never",
  );
  return (status) => {
    problems.set(status.problems.length);
    verified.set((status.verifiedUpTo?.getTime() ?? 0) / 1000);
    rows.set(status.rows);
    checkpoint.set((status.checkpointAt?.getTime() ?? 0) / 1000);
  };
}
