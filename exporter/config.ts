import { validate } from "node-cron";
import {
  choice,
  ConfigError,
  flag,
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
} from "../lib/config.ts";
import { isLoopbackHost } from "../lib/loopback.ts";

export const shape = {
  databaseUrl: required("AIOPS_DATABASE_URL", secret, "Postgres, or `mock` for built-in demo rows"),
  mockForce: withDefault("AUDIT_MOCK_FORCE", flag, false, "let demo rows leave this machine"),
  host: withDefault("EXPORTER_HOST", text, "127.0.0.1", "where the service listens"),
  port: withDefault("EXPORTER_PORT", port, 9465, "port of /health, /ready and /metrics"),
  cron: withDefault("AUDIT_EXPORT_CRON", text, "15 1 * * *", "when to export, in UTC"),
  exportDir: optional("AUDIT_EXPORT_DIR", text, "folder that gets the sealed files"),
  workDir: optional("AUDIT_WORK_DIR", text, "private folder where files are built"),
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
  pgpComment: optional("AUDIT_PGP_COMMENT", text, "armor the result, with this comment"),
  localKeyFile: optional(
    "AUDIT_LOCAL_KEY_FILE",
    text,
    "32-byte key that wraps data keys, mode 600",
  ),
  sftpHost: optional("SFTP_HOST", text, "SFTP server that gets the sealed files"),
  sftpPort: withDefault("SFTP_PORT", port, 22, "its port"),
  sftpUsername: optional("SFTP_USERNAME", text, "user on the SFTP server"),
  sftpPassword: optional("SFTP_PASSWORD", secret, "password, or use a key"),
  sftpPrivateKey: optional("SFTP_PRIVATE_KEY", secret, "private key (PEM or OpenSSH)"),
  sftpPassphrase: optional("SFTP_PASSPHRASE", secret, "passphrase of the private key"),
  sftpRemoteDir: withDefault("SFTP_REMOTE_DIR", text, ".", "folder on the SFTP server"),
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
} as const;

export type ExporterConfig = Config<typeof shape>;

const SALT_BYTES_MIN = 16;
const COMMENT_BYTES_MAX = 200;

/** @throws ConfigError listing all problems, also those between variables */
export function readExporterConfig(env: Environment): ExporterConfig {
  const config = readConfig(shape, env);
  const problems = [
    ...scheduleProblems(config),
    ...nameProblems(config),
    ...encryptionProblems(config),
    ...sftpProblems(config),
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

function scheduleProblems({ cron }: ExporterConfig): string[] {
  return validate(cron) ? [] : [`AUDIT_EXPORT_CRON: is not a cron expression, got "${cron}"`];
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
  const { pgpPublicKey, pgpPublicKeyFile, pgpPublicKeys, pgpPublicKeyFiles, pgpComment } = config;
  const hasKey =
    [pgpPublicKey, pgpPublicKeyFile, pgpPublicKeys].some((value) => value !== undefined) ||
    pgpPublicKeyFiles.length > 0;
  if (usesPgp(config) && !hasKey) {
    problems.push(
      "AUDIT_PGP_PUBLIC_KEY: no recipient; give a public key, or set AUDIT_ENC_MODE=kms or AUDIT_ENCRYPTION=off",
    );
  }
  if (usesEnvelope(config) && config.localKeyFile === undefined) {
    problems.push("AUDIT_LOCAL_KEY_FILE: is required by AUDIT_ENC_MODE=kms and pgp+kms");
  }
  const comment = pgpComment ?? "";
  // eslint-disable-next-line no-control-regex -- a line break would end the armor header
  if (/[\u0000-\u001f]/.test(comment) || Buffer.byteLength(comment) > COMMENT_BYTES_MAX) {
    problems.push(`AUDIT_PGP_COMMENT: must be one line of at most ${COMMENT_BYTES_MAX} bytes`);
  }
  return problems;
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
  if (config.exportDir === undefined && config.sftpHost === undefined) {
    return ["AUDIT_EXPORT_DIR: no destination; set it or SFTP_HOST"];
  }
  const leaves = config.sftpHost !== undefined && !isLoopbackHost(config.sftpHost);
  return isMock(config) && leaves && !config.mockForce
    ? ["SFTP_HOST: demo rows stay on this machine unless AUDIT_MOCK_FORCE=on"]
    : [];
}
