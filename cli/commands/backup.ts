import { InvalidArgumentError } from "commander";
import { postgresUrl, readConfig, required } from "../../lib/config.ts";
import { silentLog } from "../../lib/log.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { withProgress } from "../progress.ts";

interface BackupOptions {
  readonly to: string;
  readonly keep?: number;
  readonly json?: boolean;
}

interface RestoreOptions {
  readonly key?: string;
  readonly pgpPrivateKey?: string;
  readonly json?: boolean;
}

const target = {
  databaseUrl: required("AIOPS_DATABASE_URL", postgresUrl, "the empty database that is filled"),
};

/** `fettle backup | restore`: the whole database, sealed by the exporter's keys. */
export const addBackupCommands: AddCommands = (program, context) => {
  program
    .command("backup")
    .description("dump the database (pg_dump), sealed as exports are (AUDIT_ENC_MODE and its keys)")
    .requiredOption("--to <folder>", "gets a new folder for each backup")
    .option("--keep <n>", "take older backups away, but for the newest n", atLeastOne)
    .option("--json", "print the result as JSON")
    .action(async (options: BackupOptions) => {
      await backUp(options, context);
    });
  program
    .command("restore <folder>")
    .description("restore a backup into the EMPTY database that AIOPS_DATABASE_URL names")
    .option("--key <file>", "the local key that it was sealed with (AUDIT_LOCAL_KEY_FILE)")
    .option(
      "--pgp-private-key <file>",
      "a recipient's private key (passphrase in FETTLE_PGP_PASSPHRASE)",
    )
    .option("--json", "print the result as JSON")
    .action(async (folder: string, options: RestoreOptions) => {
      await restore(folder, options, context);
    });
};

async function backUp({ to, keep, json = false }: BackupOptions, context: Context): Promise<void> {
  const { backUpDatabase, readExporterConfig } = await import("../../exporter/main.ts");
  // The folder is the destination: an exporter's need not be set for a backup.
  const config = readExporterConfig({ ...context.env, AUDIT_EXPORT_DIR: to });
  const work = async (report: (text: string) => void) =>
    backUpDatabase(
      config,
      {
        parent: to,
        keep,
        onBytes: (bytes) => {
          report(`${(bytes / 1e6).toFixed(1)} MB`);
        },
      },
      silentLog,
    );
  const result = await withProgress("Backing up the database", { ...context, quiet: json }, work);
  const { folder, parts, dumpBytes, sealed, failures, removed, notRemoved } = result;
  for (const failure of failures) context.err(`warning: sealed without ${failure}`);
  if (json) context.out(JSON.stringify(result));
  else
    context.out(
      [
        `${folder}: ${dumpBytes} bytes of pg_dump in ${parts.length} file(s), sealed by ${sealed.join(" and ") || "NOBODY"}`,
        ...removed.map((name) => `  taken away: ${name}`),
      ].join("\n"),
    );
  if (notRemoved.length > 0)
    throw new CommandFailure(
      EXIT.error,
      `the backup is finished, but older ones stay: ${notRemoved.join("; ")}`,
    );
}

async function restore(
  folder: string,
  { key, pgpPrivateKey, json = false }: RestoreOptions,
  context: Context,
): Promise<void> {
  const { readKmsConfig, restoreDatabase } = await import("../../exporter/main.ts");
  const { env } = context;
  const { databaseUrl } = readConfig(target, env);
  const keys = {
    kms: readKmsConfig(key === undefined ? env : { ...env, AUDIT_LOCAL_KEY_FILE: key }),
    pgpPrivateKeyFile: pgpPrivateKey,
    passphrase: env["FETTLE_PGP_PASSPHRASE"],
  };
  const manifest = await withProgress(
    "Restoring the database",
    { ...context, quiet: json },
    async () => restoreDatabase(folder, databaseUrl, keys),
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
