import { readFile } from "node:fs/promises";
import { Writable } from "node:stream";
import { systemClock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config.ts";
import type { Log } from "../lib/log.ts";
import type { Secret } from "../lib/secret.ts";
import { openWrappers } from "./adapters/kms/open.ts";
import { openDestinations } from "./adapters/open-destinations.ts";
import { openSealing } from "./adapters/open-sealing.ts";
import { openSource } from "./adapters/open-source.ts";
import {
  countRelations,
  dumpDatabase,
  identifyDatabase,
  restoreDatabaseFrom,
} from "./adapters/postgres-tools.ts";
import { takeBackup, type BackupResult } from "./backup.ts";
import type { BackupManifest } from "./backup-manifest.ts";
import { checkFiles, type CheckReport, type CheckRequest } from "./check.ts";
import { usesEnvelope, type ExporterConfig } from "./config.ts";
import { readKmsConfig, type KmsConfig } from "./config-kms.ts";
import { decrypt, openPlaintext, type DecryptRequest, type DecryptResult } from "./decrypt.ts";
import { drill, type DrillKey, type DrillResult } from "./drill.ts";
import { readPrivateKeysFrom } from "./open-pgp.ts";
import { retain, type RetainResult } from "./retain.ts";
import { restoreBackup } from "./restore-backup.ts";
import type { KeyWrapper } from "./types.ts";
import { preparePrivateFolder, workFolderOf } from "./work-folder.ts";

/** Keys that open sealed files. */
export interface ReadingKeys {
  readonly pgpPrivateKeyFile?: string | undefined;
  readonly passphrase?: string | undefined;
  readonly localKeyFile?: string | undefined;
  /** The other wrapping keys of envelopes; see {@link readKmsConfig}. */
  readonly kms?: Partial<KmsConfig> | undefined;
}

/** Opens what an export sealed, as `fettle decrypt` does. @throws EnvelopeError, PgpError, FileExists */
export async function decryptFile(request: DecryptRequest & ReadingKeys): Promise<DecryptResult> {
  return decrypt(request, { wrappers: await wrappersOf(request) });
}

/** Checks exported files against their manifests, as `fettle verify` does. @throws when a key file cannot be used */
export async function verifyFiles(request: CheckRequest & ReadingKeys): Promise<CheckReport> {
  const wrappers = await wrappersOf(request);
  return checkFiles(request, {
    openPlaintext: async (file) => openPlaintext({ ...request, file }, { wrappers }),
  });
}

async function wrappersOf({ kms, localKeyFile = kms?.localKeyFile }: ReadingKeys) {
  return openWrappers({ ...readKmsConfig({}), ...kms, localKeyFile });
}

/** Takes old exports away, as `fettle retain` does. */
export async function retainExports(
  config: ExporterConfig,
  dryRun: boolean,
  log: Log,
): Promise<readonly RetainResult[]> {
  return withArchive(config, log, async (archive) =>
    retain(dryRun, {
      archive,
      destinations: await openDestinations(config),
      days: {
        folder: config.exportDirRetentionDays,
        sftp: config.sftpRetentionDays,
        s3: config.s3RetentionDays,
        gcs: config.gcsRetentionDays,
        azure: config.azureRetentionDays,
        gdrive: config.gdriveRetentionDays,
        dropbox: config.dropboxRetentionDays,
        onedrive: config.onedriveRetentionDays,
        sharepoint: config.sharepointRetentionDays,
      },
      clock: systemClock,
      log,
    }),
  );
}

/** Rehearses a recovery, as `fettle drill` does. */
export async function drillExports(
  config: ExporterConfig,
  log: Log,
): Promise<readonly DrillResult[]> {
  const workFolder = workFolderOf(config);
  await preparePrivateFolder(workFolder);
  return withArchive(config, log, async (archive) =>
    drill({
      archive,
      destinations: await openDestinations(config),
      keys: await drillKeys(config),
      workFolder,
      clock: systemClock,
    }),
  );
}

/** Where a backup goes, and what is told on the way. */
export interface BackupRequest {
  /** Gets a new folder for each backup. */
  readonly parent: string;
  /** Finished backups that stay; all when undefined. */
  readonly keep?: number | undefined;
  readonly onBytes?: (bytes: number) => void;
}

/** Dumps the database, sealed as exports are, as `fettle backup` does. */
export async function backUpDatabase(
  config: ExporterConfig,
  { parent, keep, onBytes = () => undefined }: BackupRequest,
  log: Log,
): Promise<BackupResult> {
  return takeBackup(parent, keep, {
    identify: async () => identifyDatabase(config.databaseUrl),
    dump: () => dumpDatabase(config.databaseUrl),
    sealing: await openSealing(config, log),
    partBytes: config.partMegabytes * 1_000_000,
    clock: systemClock,
    onBytes,
  });
}

/** Restores a backup into an empty database, as `fettle restore` does. @throws RestoreRefused */
export async function restoreDatabase(
  folder: string,
  databaseUrl: Secret,
  keys: ReadingKeys,
): Promise<BackupManifest> {
  const wrappers = await wrappersOf(keys);
  return restoreBackup(folder, {
    openPlaintext: async (file) => openPlaintext({ ...keys, file }, { wrappers }),
    countRelations: async () => countRelations(databaseUrl),
    restore: () => restoreDatabaseFrom(databaseUrl),
  });
}

async function withArchive<T>(
  config: ExporterConfig,
  log: Log,
  work: (archive: NonNullable<ReturnType<typeof openSource>["archive"]>) => Promise<T>,
): Promise<T> {
  const source = openSource(config, log);
  try {
    if (source.archive === undefined) {
      throw new ConfigError(["AIOPS_DATABASE_URL: demo rows have no record of their exports"]);
    }
    return await work(source.archive);
  } finally {
    await source.close();
  }
}

/** Each wrapping key by itself, and the PGP key if one is here. */
async function drillKeys(config: ExporterConfig): Promise<readonly DrillKey[]> {
  const wrappers = usesEnvelope(config) ? await openWrappers(config) : [];
  const byWrapper = wrappers.map((wrapper) => ({
    recipient: wrapper.name,
    canOpen: (name: string) => name.endsWith(".envelope.json"),
    open: async (file: string) => open(file, config, [wrapper]),
    rows: async (file: string) => rowsIn(file, config, [wrapper]),
  }));
  return [...byWrapper, ...(await pgpDrillKeys(config, wrappers))];
}

async function pgpDrillKeys(
  config: ExporterConfig,
  wrappers: readonly KeyWrapper[],
): Promise<readonly DrillKey[]> {
  const { drillPgpKeyFile } = config;
  if (drillPgpKeyFile === undefined) return [];
  const keys = await readPrivateKeysFrom(
    await readFile(drillPgpKeyFile),
    config.drillPassphrase?.reveal(),
  );
  return keys.map((key) => {
    const recipient = key.getFingerprint().toUpperCase();
    return {
      recipient,
      canOpen: (name: string) => {
        const [, whose] = /\.([0-9A-F]{16})\.gpg/.exec(name) ?? [];
        return name.includes(".gpg") && (whose === undefined || recipient.endsWith(whose));
      },
      open: async (file: string) => open(file, config, wrappers),
      rows: async (file: string) => rowsIn(file, config, wrappers),
    };
  });
}

async function rowsIn(
  file: string,
  { drillPgpKeyFile: pgpPrivateKeyFile, drillPassphrase }: ExporterConfig,
  wrappers: readonly KeyWrapper[],
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const passphrase = drillPassphrase?.reveal();
  return openPlaintext({ file, pgpPrivateKeyFile, passphrase }, { wrappers });
}

async function open(
  file: string,
  config: ExporterConfig,
  wrappers: readonly KeyWrapper[],
): Promise<string | undefined> {
  const request = {
    file,
    pgpPrivateKeyFile: config.drillPgpKeyFile,
    passphrase: config.drillPassphrase?.reveal(),
    stdout: new Writable({
      write: (_chunk, _encoding, done) => {
        done();
      },
    }),
  };
  const { sha256, stillEncrypted } = await decrypt(request, { wrappers });
  return stillEncrypted ? undefined : sha256;
}
