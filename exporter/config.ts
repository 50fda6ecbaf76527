import { validate } from "node-cron";
import {
  choice,
  ConfigError,
  flag,
  integer,
  list,
  optional,
  port,
  readConfig,
  required,
  secret,
  text,
  withDefault,
  type Config,
  type Environment,
  type Kind,
} from "../lib/config.ts";
import { countKeys, kmsProblems, kmsShape } from "../lib/envelope/config-kms.ts";
import { isLoopbackHost } from "../lib/loopback.ts";
import { distantDrives, driveProblems, drivesShape, namedDrives } from "./config-drives.ts";
import { keepProblems, keepShape } from "./config-keep.ts";
import { hasPgpSecret, secretProblems, secretsShape } from "./config-secrets.ts";
import { distantBuckets, namedBuckets, storeProblems, storesShape } from "./config-stores.ts";

/** 2147 million bytes are just below the 2^31 - 17 that the decryption guide's Python can open. */
const PART_MEGABYTES_MAX = 2147;

/** A control character of one byte is six in JSON: an archive of both stays below that limit whatever the rows are. */
const ARCHIVED_MEGABYTES_MAX = 300;

/** Armor makes a file a third larger, and its envelope must still be one that the guide opens. */
const ARMORED_MEGABYTES_MAX = 1500;

const keyName: Kind<string> = text.refine((value) => /^[^\s+]+$/u.test(value), {
  error: "must not hold blanks or +",
});

const cronKind: Kind<string> = text.refine((value) => validate(value), {
  error: "must be a cron expression (minute hour day month weekday)",
});

const zoneKind: Kind<string> = text.refine(isTimeZone, {
  error: "must be a time zone like Europe/Zagreb",
});

function isTimeZone(value: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: value });
    return true;
  } catch {
    return false;
  }
}

export const shape = {
  databaseUrl: required("AIOPS_DATABASE_URL", secret, "Postgres, or `mock` for built-in demo rows"),
  mockForce: withDefault("AUDIT_MOCK_FORCE", flag, false, "let demo rows leave this machine"),
  host: withDefault("EXPORTER_HOST", text, "127.0.0.1", "where the service listens"),
  port: withDefault("EXPORTER_PORT", port, 9465, "port of /health, /ready and /metrics"),
  cron: withDefault("AUDIT_EXPORT_CRON", cronKind, "15 1 * * *", "when to export"),
  timeZone: withDefault(
    "AUDIT_EXPORT_TZ",
    zoneKind,
    "Etc/UTC",
    "the time zone of AUDIT_EXPORT_CRON",
  ),
  exportDir: optional("AUDIT_EXPORT_DIR", text, "folder that gets the sealed files"),
  exportDirRetentionDays: optional(
    "AUDIT_EXPORT_DIR_RETENTION_DAYS",
    integer({ min: 1, max: 36_500 }),
    "fettle retain takes away what is older there; nothing when unset",
  ),
  workDir: optional("AUDIT_WORK_DIR", text, "private folder where files are built"),
  partMegabytes: withDefault(
    "AUDIT_MAX_PART_MB",
    integer({ min: 1, max: PART_MEGABYTES_MAX }),
    256,
    "larger exports are cut into files of at most so many million bytes of CSV",
  ),
  compress: withDefault(
    "AUDIT_COMPRESS",
    choice("off", "zstd"),
    "off",
    "zstd makes files four times smaller; reading them takes zstd as well",
  ),
  jsonl: withDefault(
    "AUDIT_JSONL",
    flag,
    false,
    "each file is a ZIP archive of the CSV and the same rows as JSON lines",
  ),
  signingKeyFile: optional(
    "AUDIT_SIGNING_KEY_FILE",
    text,
    "Ed25519 key (PKCS#8 PEM, mode 600) that signs a manifest of each export",
  ),
  signingKeyName: withDefault(
    "AUDIT_SIGNING_KEY_NAME",
    keyName,
    "fettle-audit",
    "what the key is called in its signatures",
  ),
  filenameMode: withDefault(
    "AUDIT_FILENAME_MODE",
    choice("plain", "hashed"),
    "plain",
    "whether file names show the date",
  ),
  filenameSalt: optional("AUDIT_FILENAME_SALT", secret, "key of hashed names, 16 bytes or more"),
  csvFormula: withDefault(
    "AUDIT_CSV_FORMULA",
    choice("escape", "off"),
    "escape",
    "put ' before cells that a spreadsheet would run",
  ),
  encryption: withDefault("AUDIT_ENCRYPTION", flag, true, "off writes plain CSV"),
  encMode: withDefault(
    "AUDIT_ENC_MODE",
    choice("pgp", "kms", "pgp+kms"),
    "pgp",
    "OpenPGP, AES-GCM envelope, or one in the other",
  ),
  pgpPublicKey: optional("AUDIT_PGP_PUBLIC_KEY", text, "armored public key"),
  pgpPublicKeyFile: optional("AUDIT_PGP_PUBLIC_KEY_FILE", text, "file with a public key"),
  pgpPublicKeys: optional("AUDIT_PGP_PUBLIC_KEYS", text, "several armored public keys"),
  pgpPublicKeyFiles: withDefault("AUDIT_PGP_PUBLIC_KEY_FILES", list, [], "files with public keys"),
  gpgCli: withDefault(
    "AUDIT_GPG_CLI",
    flag,
    false,
    "encrypt by the machine's gpg, one file for all",
  ),
  drillPgpKeyFile: optional(
    "AUDIT_DRILL_PGP_PRIVATE_KEY_FILE",
    text,
    "a recipient's private key on this machine, for fettle drill (passphrase in FETTLE_PGP_PASSPHRASE)",
  ),
  drillPassphrase: optional("FETTLE_PGP_PASSPHRASE", secret, "passphrase of a private PGP key"),
  pgpSingleFile: withDefault(
    "AUDIT_PGP_SINGLE_FILE",
    flag,
    false,
    "one file that all recipients can open, instead of one for each",
  ),
  pgpComment: optional("AUDIT_PGP_COMMENT", text, "armor the result, with this comment"),
  ...keepShape,
  ...secretsShape,
  ...kmsShape,
  sftpHost: optional("SFTP_HOST", text, "SFTP server that gets the sealed files"),
  sftpPort: withDefault("SFTP_PORT", port, 22, "its port"),
  sftpUsername: optional("SFTP_USERNAME", text, "user on the SFTP server"),
  sftpPassword: optional("SFTP_PASSWORD", secret, "password, or use a key"),
  sftpPrivateKey: optional("SFTP_PRIVATE_KEY", secret, "private key (PEM or OpenSSH)"),
  sftpPassphrase: optional("SFTP_PASSPHRASE", secret, "passphrase of the private key"),
  sftpRemoteDir: withDefault("SFTP_REMOTE_DIR", text, ".", "folder on the SFTP server"),
  sftpRetentionDays: optional(
    "SFTP_RETENTION_DAYS",
    integer({ min: 1, max: 36_500 }),
    "fettle retain takes away what is older there; nothing when unset",
  ),
  sftpVerify: withDefault(
    "SFTP_VERIFY",
    choice("size", "sha256", "off"),
    "sha256",
    "how an upload is checked; sha256 reads it back",
  ),
  sftpHostKeySha256: withDefault(
    "SFTP_HOST_KEY_SHA256",
    list,
    [],
    "fingerprints SHA256:... of the server's host key",
  ),
  sftpKnownHosts: optional("SFTP_KNOWN_HOSTS", text, "known_hosts file, or its lines"),
  ...storesShape,
  ...drivesShape,
} as const;

export type ExporterConfig = Config<typeof shape>;

const SALT_BYTES_MIN = 16;
const COMMENT_BYTES_MAX = 200;

/** @throws ConfigError listing all problems, also those between variables */
export function readExporterConfig(env: Environment): ExporterConfig {
  const config = readConfig(shape, env);
  const problems = [
    ...nameProblems(config),
    ...encryptionProblems(config),
    ...archiveProblems(config),
    ...keepProblems(config),
    ...sftpProblems(config),
    ...storeProblems(config),
    ...driveProblems(config),
    ...destinationProblems(config),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

export function isMock({ databaseUrl }: ExporterConfig): boolean {
  return databaseUrl.reveal() === "mock";
}

export function usesPgp({ encryption, encMode }: ExporterConfig): boolean {
  return encryption && encMode !== "kms";
}

export function usesEnvelope({ encryption, encMode }: ExporterConfig): boolean {
  return encryption && encMode !== "pgp";
}

function nameProblems({ filenameMode, filenameSalt }: ExporterConfig): string[] {
  if (filenameMode === "plain") return [];
  const bytes = Buffer.byteLength(filenameSalt?.reveal() ?? "");
  return bytes >= SALT_BYTES_MIN
    ? []
    : [`AUDIT_FILENAME_SALT: needs ${SALT_BYTES_MIN} bytes or more when names are hashed`];
}

function encryptionProblems(config: ExporterConfig): string[] {
  const problems: string[] = [];
  const { pgpPublicKey, pgpPublicKeyFile, pgpPublicKeys, pgpPublicKeyFiles } = config;
  const hasKey =
    [pgpPublicKey, pgpPublicKeyFile, pgpPublicKeys].some((value) => value !== undefined) ||
    pgpPublicKeyFiles.length > 0 ||
    hasPgpSecret(config);
  if (usesPgp(config) && !hasKey) {
    problems.push(
      "AUDIT_PGP_PUBLIC_KEY: no recipient; give a public key, or set AUDIT_ENC_MODE=kms or AUDIT_ENCRYPTION=off",
    );
  }
  if (usesEnvelope(config) && countKeys(config) === 0) {
    problems.push(
      "AWS_KMS_KEY_ID: AUDIT_ENC_MODE=kms and pgp+kms need it, GCP_KMS_KEY, AZURE_KV_KEY_ID or AUDIT_LOCAL_KEY_FILE",
    );
  }
  return [
    ...problems,
    ...(usesEnvelope(config) ? kmsProblems(config) : []),
    ...secretProblems(config),
    ...armorProblems(config),
  ];
}

function armorProblems(config: ExporterConfig): string[] {
  const problems: string[] = [];
  const { pgpComment, partMegabytes } = config;
  const comment = pgpComment ?? "";
  // eslint-disable-next-line no-control-regex -- a line break would end the armor header
  if (/[\u0000-\u001f]/.test(comment) || Buffer.byteLength(comment) > COMMENT_BYTES_MAX) {
    problems.push(`AUDIT_PGP_COMMENT: must be one line of at most ${COMMENT_BYTES_MAX} bytes`);
  }
  if (comment !== "" && usesEnvelope(config) && partMegabytes > ARMORED_MEGABYTES_MAX) {
    problems.push(
      `AUDIT_MAX_PART_MB: must be at most ${ARMORED_MEGABYTES_MAX} with an armored file in an envelope, got ${partMegabytes}`,
    );
  }
  return problems;
}

function archiveProblems({ jsonl, partMegabytes }: ExporterConfig): string[] {
  return jsonl && partMegabytes > ARCHIVED_MEGABYTES_MAX
    ? [
        `AUDIT_MAX_PART_MB: must be at most ${ARCHIVED_MEGABYTES_MAX} with AUDIT_JSONL, got ${partMegabytes}`,
      ]
    : [];
}

function sftpProblems(config: ExporterConfig): string[] {
  if (config.sftpHost === undefined) return [];
  const problems: string[] = [];
  if (config.sftpUsername === undefined) problems.push("SFTP_USERNAME: is required by SFTP_HOST");
  if (config.sftpPassword === undefined && config.sftpPrivateKey === undefined) {
    problems.push("SFTP_PASSWORD: give a password or SFTP_PRIVATE_KEY");
  }
  if (config.sftpHostKeySha256.length === 0 && config.sftpKnownHosts === undefined) {
    problems.push(
      "SFTP_HOST_KEY_SHA256: the server's host key must be pinned here or by SFTP_KNOWN_HOSTS",
    );
  }
  return problems;
}

function destinationProblems(config: ExporterConfig): string[] {
  const { exportDir, sftpHost, mockForce } = config;
  const named = [...namedBuckets(config), ...namedDrives(config)];
  if (exportDir === undefined && sftpHost === undefined && named.length === 0) {
    return ["AUDIT_EXPORT_DIR: no destination; set it, SFTP_HOST, a bucket or a drive"];
  }
  if (!isMock(config) || mockForce) return [];
  const leaves = sftpHost !== undefined && !isLoopbackHost(sftpHost) ? ["SFTP_HOST"] : [];
  return [...leaves, ...distantBuckets(config), ...distantDrives(config)].map(
    (name) => `${name}: demo rows stay on this machine unless AUDIT_MOCK_FORCE=on`,
  );
}
