import { InvalidArgumentError } from "commander";
import { silentLog } from "../../lib/log.ts";
import type { DecryptResult, ExportResult, Progress } from "../../exporter/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { withProgress } from "../progress.ts";

interface DecryptOptions {
  readonly key?: string;
  readonly pgpPrivateKey?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** `fettle export | decrypt` */
export const addExportCommands: AddCommands = (program, context) => {
  program
    .command("export")
    .description("export the new rows of the audit trail now, sealed and verified")
    .option("--json", "print the result as JSON")
    .action(async ({ json = false }: { json?: boolean }) => {
      const result = await exportNow(context, json);
      if (result.outcome === "busy")
        throw new CommandFailure(EXIT.unavailable, "another export is running");
      context.out(json ? JSON.stringify(result) : describeExport(result));
    });
  program
    .command("decrypt <file>")
    .description(
      "open an .envelope.json or .gpg file; nothing is written before its integrity is proved",
    )
    .option(
      "--key <file>",
      "the local key that the envelope was sealed with (AUDIT_LOCAL_KEY_FILE)",
    )
    .option(
      "--pgp-private-key <file>",
      "the recipient's private key (passphrase in FETTLE_PGP_PASSPHRASE)",
    )
    .option(
      "--out <file>",
      "a new file or a folder; - for stdout; beside the input by default",
      notEmpty,
    )
    .option("--json", "print the result as JSON")
    .action(async (file: string, options: DecryptOptions) => {
      await decryptNow(file, options, context);
    });
};

async function exportNow(context: Context, quiet: boolean): Promise<ExportResult> {
  const { exportOnce, readExporterConfig } = await import("../../exporter/main.ts");
  const config = readExporterConfig(context.env);
  return withProgress("Exporting the audit trail", { ...context, quiet }, async (report) =>
    exportOnce(config, silentLog, {
      onProgress: (progress) => {
        report(describeProgress(progress));
      },
    }),
  );
}

function describeProgress({ stage, rows, bytes }: Progress): string {
  return `${stage}: ${rows} rows, ${(bytes / 1e6).toFixed(1)} MB`;
}

function describeExport({ outcome, rows, files, receipts, resumed }: ExportResult): string {
  if (outcome === "nothing-new") return "No new rows since the last export.";
  return [
    `${rows} rows exported${resumed ? " (finished what an interrupted run had begun)" : ""}`,
    ...files.map(({ name, bytes, sha256 }) => `  ${name}  ${bytes} bytes  sha256 ${sha256}`),
    ...receipts.map(({ location, verifiedBy }) => `  stored at ${location} (${verifiedBy})`),
  ].join("\n");
}

async function decryptNow(file: string, options: DecryptOptions, context: Context): Promise<void> {
  const { decryptFile } = await import("../../exporter/main.ts");
  const toStdout = options.out === "-";
  const result = await decryptFile({
    file,
    localKeyFile: options.key ?? context.env["AUDIT_LOCAL_KEY_FILE"],
    pgpPrivateKeyFile: options.pgpPrivateKey,
    passphrase: context.env["FETTLE_PGP_PASSPHRASE"],
    output: toStdout ? undefined : options.out,
    stdout: toStdout ? process.stdout : undefined,
  });
  if (toStdout) return;
  context.out(options.json === true ? JSON.stringify(result) : describeDecryption(result));
}

function describeDecryption({
  opened,
  path,
  bytes,
  sha256,
  stillEncrypted,
}: DecryptResult): string {
  const hint = stillEncrypted
    ? "\nIt is still an OpenPGP message: give --pgp-private-key, or open it with gpg."
    : "";
  return `${path ?? ""}: ${bytes} bytes, sha256 ${sha256} (opened: ${opened.join(", ")})${hint}`;
}

function notEmpty(value: string): string {
  if (value === "") throw new InvalidArgumentError("must not be empty");
  return value;
}
