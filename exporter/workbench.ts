import { createPublicKey } from "node:crypto";
import { readVerifiers, type NoteVerifier } from "../lib/signed-note.ts";
import {
  countRelations,
  dumpDatabase,
  identifyDatabase,
  restoreDatabaseFrom,
} from "./adapters/postgres-tools.ts";
import { listBackups } from "./backup-keep.ts";
import type { BackupManifest, Trust } from "./backup-manifest.ts";
import { takeBackup, type BackupResult } from "./backup.ts";
import { withFetchedBackup } from "./fetch-backup.ts";
import { readBackup, type FoundBackup } from "./find-backup.ts";
import type { Signer } from "./manifest.ts";
import { restoreBackup } from "./restore-backup.ts";
import type { Destination } from "./types.ts";
import type { Secret } from "../lib/secret.ts";
import { readFile } from "node:fs/promises";
import { Writable } from "node:stream";
import { openWrappers } from "../lib/adapters/kms/open.ts";
import { systemClock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config.ts";
import { readKmsConfig, type KmsConfig } from "../lib/envelope/config-kms.ts";
import type { KeyWrapper } from "../lib/envelope/types.ts";
import type { Log } from "../lib/log.ts";
import { openDestinations } from "./adapters/open-destinations.ts";
import { openSealing, openSigner } from "./adapters/open-sealing.ts";
import { openSource } from "./adapters/open-source.ts";
import { checkFiles, type CheckReport, type CheckRequest } from "./check.ts";
import { usesEnvelope, type ExporterConfig } from "./config.ts";
import { readOnce, type Content } from "./content.ts";
import { decrypt, openPlaintext, type DecryptRequest, type DecryptResult } from "./decrypt.ts";
import { drill, type DrillKey, type DrillResult } from "./drill.ts";
import { readPrivateKeysFrom } from "./open-pgp.ts";
import { retain, type RetainResult } from "./retain.ts";
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

/** What stays of older backups, and what is told on the way. */
export interface BackupRequest {
  /** Finished backups that stay at each place; all when undefined. */
  readonly keep?: number | undefined;
  /** Public keys of earlier signers, besides that of the present one: `keep` counts what they signed as well. */
  readonly publicKeyFile?: string | undefined;
  readonly onBytes?: (bytes: number) => void;
}

/** Dumps the database to every configured destination, sealed as exports are, as `fettle backup` does. */
export async function backUpDatabase(
  config: ExporterConfig,
  { keep, publicKeyFile, onBytes = () => undefined }: BackupRequest,
  log: Log,
): Promise<BackupResult> {
  const signer = await openSigner(config);
  return takeBackup(keep, {
    destinations: await openDestinations(config),
    identify: async () => identifyDatabase(config.databaseUrl),
    dump: () => dumpDatabase(config.databaseUrl),
    sealing: await openSealing(config, log),
    signer,
    trust: await trustOf(signer, publicKeyFile),
    workFolder: await privateFolder(config),
    partBytes: config.partMegabytes * 1_000_000,
    clock: systemClock,
    onBytes,
  });
}

async function trustOf(signer: Signer | undefined, path: string | undefined): Promise<Trust> {
  const earlier = path === undefined ? [] : await readVerifiers(path);
  if (signer === undefined) return path === undefined ? "anybody" : earlier;
  const { keyName, privateKey } = signer;
  return [verifierOf(keyName, privateKey), ...earlier];
}

function verifierOf(keyName: string, privateKey: Signer["privateKey"]): NoteVerifier {
  return { keyName, publicKey: createPublicKey(privateKey) };
}

/** A backup to restore, and whom to believe. */
export interface RestoreRequest extends ReadingKeys {
  /** Its path in a folder here; with `from`, its name there, or `latest`. */
  readonly backup: string;
  /** The places that are configured, and which of them has it. */
  readonly from?: { readonly config: ExporterConfig; readonly destination: string } | undefined;
  /** Of whoever may have signed it; undefined: its signature is not looked at. */
  readonly publicKeyFile: string | undefined;
}

/** Restores a backup into an empty database, as `fettle restore` does. @throws RestoreRefused */
export async function restoreDatabase(
  request: RestoreRequest,
  databaseUrl: Secret,
): Promise<BackupManifest> {
  const { backup, from, publicKeyFile } = request;
  const trust: Trust = publicKeyFile === undefined ? "anybody" : await readVerifiers(publicKeyFile);
  const wrappers = await wrappersOf(request);
  const restore = async (found: FoundBackup) =>
    restoreBackup(found, {
      openPlaintext: async (file) => {
        const content = await openPlaintext({ ...request, file }, { wrappers });
        return content === undefined ? undefined : readOnce(content);
      },
      countRelations: async () => countRelations(databaseUrl),
      restore: () => restoreDatabaseFrom(databaseUrl),
    });
  if (from === undefined) return restore(await readBackup(backup, { trust }));
  const destination = await destinationOf(from.config, from.destination);
  const deps = { trust, workFolder: await privateFolder(from.config) };
  return withFetchedBackup(destination, backup, deps, restore);
}

/** Finished backups of one place, the newest first. */
interface Listed {
  readonly destination: string;
  readonly backups: readonly string[];
}

/** What each configured destination has, as `fettle backups` tells it. @throws DestinationError */
export async function findBackups(config: ExporterConfig): Promise<readonly Listed[]> {
  const found: Listed[] = [];
  for (const destination of await openDestinations(config))
    found.push({ destination: destination.name, backups: await listBackups(destination) });
  return found;
}

async function destinationOf(config: ExporterConfig, name: string): Promise<Destination> {
  const all = await openDestinations(config);
  const found = all.find((destination) => destination.name === name);
  if (found !== undefined) return found;
  const names = all.map((destination) => destination.name).join(", ");
  throw new ConfigError([`--from ${name}: is not configured; there is ${names}`]);
}

async function privateFolder(config: ExporterConfig): Promise<string> {
  const folder = workFolderOf(config);
  await preparePrivateFolder(folder);
  return folder;
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
    content: async (file: string) => contentOf(file, config, [wrapper]),
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
      content: async (file: string) => contentOf(file, config, wrappers),
    };
  });
}

async function contentOf(
  file: string,
  { drillPgpKeyFile: pgpPrivateKeyFile, drillPassphrase }: ExporterConfig,
  wrappers: readonly KeyWrapper[],
): Promise<Content | undefined> {
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
