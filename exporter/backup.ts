import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Hex } from "../lib/canonical.ts";
import { BackupDelivery } from "./backup-delivery.ts";
import { removeOldBackups, type KeepDeps, type Removed } from "./backup-keep.ts";
import { backupName, writeManifest, type BackupManifest } from "./backup-manifest.ts";
import { writeParts, type DumpDeps, type SealedPart } from "./backup-parts.ts";
import type { Signer } from "./manifest.ts";
import type { Destination } from "./types.ts";
import { workName } from "./work-folder.ts";

export interface BackupDeps extends DumpDeps, KeepDeps {
  /** At least one. */
  readonly destinations: readonly Destination[];
  readonly identify: () => Promise<BackupManifest["database"]>;
  /** Undefined: nobody signs. */
  readonly signer: Signer | undefined;
}

export interface BackupResult extends BackupManifest, Removed {
  /** Destinations that have it. */
  readonly at: readonly string[];
  /** Of those that have it not, the reasons. */
  readonly notAt: readonly string[];
  /** Whose signature it has; undefined: nobody's. */
  readonly signedBy: string | undefined;
  /** Why wrapping keys are missing that did not have to answer. */
  readonly failures: readonly string[];
}

/**
 * Dumps the database in PostgreSQL's custom format and hands it, part by part and sealed on the way, to every destination:
 * plaintext never rests on disk. The manifest comes last, so a backup that was interrupted is none. One that is finished
 * stays, also where a destination failed or older ones cannot be taken away: the result says so.
 *
 * @param keep finished backups that stay at each place, this one included; all when undefined
 * @throws with pg_dump's words, when it fails, or the last destination's; what was handed over is taken away again
 */
export async function takeBackup(
  keep: number | undefined,
  deps: BackupDeps,
): Promise<BackupResult> {
  const delivery = new BackupDelivery(deps.destinations);
  const { manifest, failures } = await deliver(delivery, deps).catch(async (error: unknown) => {
    await delivery.withdraw();
    throw error;
  });
  const holders = delivery.holders();
  return {
    ...manifest,
    failures,
    signedBy: deps.signer?.keyName,
    at: holders.map(({ name }) => name),
    notAt: delivery.failures(),
    ...(await removeOldBackups(manifest, keep, holders, deps)),
  };
}

async function deliver(delivery: BackupDelivery, deps: BackupDeps) {
  const startedAt = deps.clock.now();
  const backup = { id: randomUUID(), name: backupName(startedAt) };
  const database = await deps.identify();
  const { parts, dumpBytes, failures } = await writeParts(backup, deps, async (sealed) => {
    await hand(sealed, backup.id, delivery);
  });
  const manifest: BackupManifest = {
    format: "fettle-backup-manifest/1",
    ...backup,
    database,
    startedAt: startedAt.toISOString(),
    finishedAt: deps.clock.now().toISOString(),
    sealed: sealedBy(deps),
    keysMissing: keysMissing(parts, deps),
    dumpBytes,
    parts: [...parts],
  };
  const { name, text } = writeManifest(manifest, deps.signer);
  const path = join(deps.workFolder, workName(backup.id, name));
  await writeFile(path, text, { mode: 0o600, flush: true });
  const part = { name, bytes: Buffer.byteLength(text), sha256: sha256Hex(text) };
  await hand({ path, part }, backup.id, delivery);
  return { manifest, failures };
}

/** Afterwards it is not here any more. */
async function hand(
  { path, part }: SealedPart,
  exportId: string,
  delivery: BackupDelivery,
): Promise<void> {
  try {
    await delivery.send({ ...part, path, exportId, knownSha256: new Set([part.sha256]) });
  } finally {
    await rm(path, { force: true });
  }
}

function keysMissing(parts: BackupManifest["parts"], { sealing }: BackupDeps): string[] {
  const names = sealing.wrappers.map(({ name }) => name);
  return names.filter((name) => !parts.every(({ keyIds = {} }) => name in keyIds));
}

function sealedBy({ sealing }: BackupDeps): BackupManifest["sealed"] {
  return [
    ...(sealing.recipients.length > 0 ? (["pgp"] as const) : []),
    ...(sealing.wrappers.length > 0 ? (["envelope"] as const) : []),
  ];
}
