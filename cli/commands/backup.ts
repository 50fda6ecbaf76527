import { InvalidArgumentError } from "commander";
import type { BackupResult } from "../../exporter/main.ts";
import { postgresUrl, readConfig, required, type Environment } from "../../lib/config.ts";
import { silentLog } from "../../lib/log.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { withProgress } from "../progress.ts";

interface BackupOptions {
  readonly to?: string;
  readonly keep?: number;
  readonly pub?: string;
  readonly json?: boolean;
}

interface RestoreOptions {
  readonly from?: string;
  readonly pub?: string;
  readonly unsigned?: boolean;
  readonly key?: string;
  readonly pgpPrivateKey?: string;
  readonly json?: boolean;
}

const target = {
  databaseUrl: required("AIOPS_DATABASE_URL", postgresUrl, "the empty database that is filled"),
};

/** `fettle backup | backups | restore`: the whole database, sealed by the exporter's keys. */
export const addBackupCommands: AddCommands = (program, context) => {
  program
    .command("backup")
    .description(
      "dump the database (pg_dump) to the exporter's destinations, sealed and signed as exports are",
    )
    .option("--to <folder>", "into this folder only, whatever destinations are configured")
    .option("--keep <n>", "take older backups away, but for the newest n", atLeastOne)
    .option("--pub <file>", "public keys of earlier signers, whose backups --keep counts too")
    .option("--json", "print the result as JSON")
    .action(async (options: BackupOptions) => {
      await backUp(options, context);
    });
  program
    .command("backups")
    .description("say which finished backups each destination has, the newest first")
    .option("--json", "print them as JSON")
    .action(async ({ json = false }: { json?: boolean }) => {
      await list(json, context);
    });
  program
    .command("restore <backup>")
    .description("restore a backup into the EMPTY database that AIOPS_DATABASE_URL names")
    .option("--from <destination>", "fetch it there (folder, sftp, s3, …); its name, or `latest`")
    .option("--pub <file>", "public keys of those who may have signed it: PEM, or name+id+base64")
    .option("--unsigned", "do not ask who signed it")
    .option("--key <file>", "the local key that it was sealed with (AUDIT_LOCAL_KEY_FILE)")
    .option(
      "--pgp-private-key <file>",
      "a recipient's private key (passphrase in FETTLE_PGP_PASSPHRASE)",
    )
    .option("--json", "print the result as JSON")
    .action(async (backup: string, options: RestoreOptions) => {
      await restore(backup, options, context);
    });
};

async function backUp(options: BackupOptions, context: Context): Promise<void> {
  const { to, keep, pub: publicKeyFile, json = false } = options;
  const { backUpDatabase, readExporterConfig } = await import("../../exporter/main.ts");
  const config = readExporterConfig(to === undefined ? context.env : onlyFolder(context.env, to));
  const work = async (report: (text: string) => void) =>
    backUpDatabase(
      config,
      {
        keep,
        publicKeyFile,
        onBytes: (bytes) => {
          report(`${(bytes / 1e6).toFixed(1)} MB`);
        },
      },
      silentLog,
    );
  const result = await withProgress("Backing up the database", { ...context, quiet: json }, work);
  for (const failure of result.failures) context.err(`warning: sealed without ${failure}`);
  context.out(json ? JSON.stringify(result) : describe(result));
  const { notAt, notRemoved } = result;
  const problems = [...notAt, ...notRemoved.map((reason) => `older ones stay: ${reason}`)];
  if (problems.length > 0)
    throw new CommandFailure(EXIT.error, `the backup is finished, but ${problems.join("; ")}`);
}

/** The exporter's destinations do not count, and need not be whole. */
function onlyFolder(env: Environment, folder: string): Environment {
  const places = /^(AUDIT_(S3|GCS|AZURE)_|SFTP_|GDRIVE_|DROPBOX_|ONEDRIVE_|SHAREPOINT_)/;
  const others = Object.entries(env).filter(([name]) => !places.test(name));
  return { ...Object.fromEntries(others), AUDIT_EXPORT_DIR: folder };
}

function describe(result: BackupResult): string {
  const { name, parts, dumpBytes, sealed, signedBy, at, removed } = result;
  return [
    `${name}: ${dumpBytes} bytes of pg_dump in ${parts.length} file(s), sealed by ${sealed.join(" and ") || "NOBODY"}, signed by ${signedBy ?? "NOBODY"}`,
    ...at.map((destination) => `  at ${destination}`),
    ...removed.map((old) => `  taken away: ${old}`),
  ].join("\n");
}

async function list(json: boolean, { env, out }: Context): Promise<void> {
  const { findBackups, readExporterConfig } = await import("../../exporter/main.ts");
  const found = await findBackups(readExporterConfig(toRead(env)));
  if (json) out(JSON.stringify(found));
  else
    out(
      found
        .flatMap(({ destination, backups }) => [
          `${destination}: ${backups.length} finished backup(s)`,
          ...backups.map((name) => `  ${name}`),
        ])
        .join("\n"),
    );
}

/** Whoever only reads needs no key to seal with. */
function toRead(env: Environment): Environment {
  return { ...env, AUDIT_ENCRYPTION: "off" };
}

async function restore(backup: string, options: RestoreOptions, context: Context): Promise<void> {
  const { from, pub, unsigned = false, key, pgpPrivateKey, json = false } = options;
  if ((pub === undefined) !== unsigned)
    throw new CommandFailure(
      EXIT.usage,
      "give --pub with the public keys of whoever may have signed the backup, or else --unsigned",
    );
  const { readExporterConfig, readKmsConfig, restoreDatabase } =
    await import("../../exporter/main.ts");
  const { env } = context;
  const { databaseUrl } = readConfig(target, env);
  const request = {
    backup,
    from:
      from === undefined
        ? undefined
        : { config: readExporterConfig(toRead(env)), destination: from },
    publicKeyFile: pub,
    kms: readKmsConfig(key === undefined ? env : { ...env, AUDIT_LOCAL_KEY_FILE: key }),
    pgpPrivateKeyFile: pgpPrivateKey,
    passphrase: env["FETTLE_PGP_PASSPHRASE"],
  };
  const manifest = await withProgress(
    "Restoring the database",
    { ...context, quiet: json },
    async () => restoreDatabase(request, databaseUrl),
  ).catch((error: unknown) => {
    throw Error.isError(error) && error.name === "RestoreRefused"
      ? new CommandFailure(EXIT.refused, error.message)
      : error;
  });
  context.out(
    json
      ? JSON.stringify(manifest)
      : `restored the backup of ${manifest.startedAt}; now: fettle migrate, the grants, fettle audit verify`,
  );
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("must be 1 or more");
  return value;
}
