import { InvalidArgumentError, type Command } from "commander";
import { armFailpoint } from "../../lib/failpoint.ts";
import { silentLog } from "../../lib/log.ts";
import type {
  CheckReport,
  DecryptResult,
  DrillResult,
  ExportResult,
  Progress,
  ReadingKeys,
  RetainResult,
} from "../../exporter/main.ts";
import type { AddCommands, Context } from "../context.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";
import { withProgress } from "../progress.ts";

interface VerifyOptions {
  readonly pub: string;
  readonly prev?: string;
  readonly head?: string;
  readonly key?: string;
  readonly pgpPrivateKey?: string;
  readonly json?: boolean;
}

interface DecryptOptions {
  readonly key?: string;
  readonly pgpPrivateKey?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** `fettle export | decrypt | verify | retain | drill` */
export const addExportCommands: AddCommands = (program, context, finish) => {
  addVerify(program, context, finish);
  addUpkeep(program, context, finish);
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

function addVerify(program: Command, context: Context, finish: (code: number) => void): void {
  program
    .command("verify <files...>")
    .description(
      "check exported files (or folders of them) against their signed manifests, offline",
    )
    .requiredOption("--pub <file>", "public key of the exporter: PEM, or name+id+base64")
    .option("--prev <manifest>", "the manifest before the first one given")
    .option("--head <sequence:sha256>", "the newest manifest, as noted elsewhere")
    .option("--key <file>", "the local key of envelopes, to see the rows too")
    .option("--pgp-private-key <file>", "a recipient's private key, to see the rows too")
    .option("--json", "print the report as JSON")
    .action(async (files: string[], options: VerifyOptions) => {
      const { verifyFiles } = await import("../../exporter/main.ts");
      const report = await verifyFiles({
        files,
        publicKeyFile: options.pub,
        previous: options.prev,
        head: options.head,
        ...(await readingKeys(options, context)),
      });
      context.out(options.json === true ? JSON.stringify(report) : describeCheck(report));
      if (report.problems.length > 0) finish(EXIT.error);
    });
}

function addUpkeep(program: Command, context: Context, finish: (code: number) => void): void {
  program
    .command("retain")
    .description("take exports away that are older than their destination keeps them")
    .option("--dry-run", "say what would go, and touch nothing")
    .option("--json", "print the result as JSON")
    .action(async ({ dryRun = false, json = false }: { dryRun?: boolean; json?: boolean }) => {
      const { readExporterConfig, retainExports } = await import("../../exporter/main.ts");
      const results = await retainExports(readExporterConfig(context.env), dryRun, silentLog);
      context.out(json ? JSON.stringify(results) : describeRetention(results, dryRun));
      if (results.some(({ problem }) => problem !== undefined)) finish(EXIT.unavailable);
      else if (results.some(({ held }) => held.length > 0)) finish(EXIT.refused);
    });
  program
    .command("drill")
    .description(
      "fetch a random earlier export from each destination and open it with each key here",
    )
    .option("--json", "print the result as JSON")
    .action(async ({ json = false }: { json?: boolean }) => {
      const { drillExports, readExporterConfig } = await import("../../exporter/main.ts");
      const results = await drillExports(readExporterConfig(context.env), silentLog);
      context.out(json ? JSON.stringify(results) : describeDrill(results));
      const isWell = results.length > 0 && results.every(({ problem }) => problem === undefined);
      if (!isWell) finish(EXIT.error);
    });
}

function describeRetention(results: readonly RetainResult[], dryRun: boolean): string {
  if (results.length === 0) return "No destination has a retention; nothing is taken away.";
  const verb = dryRun ? "would be deleted, unless the destination holds them" : "deleted";
  return results
    .flatMap(({ destination, deleted, kept, held, problem }) => [
      `${destination}: ${deleted.length} files ${verb}, ${kept} exports stay`,
      ...deleted.map((name) => `  ${name}`),
      ...held.map(({ name, reason }) => `  HELD ${name}: ${reason}`),
      ...(problem === undefined ? [] : [`  FAILED ${problem}`]),
    ])
    .join("\n");
}

function describeDrill(results: readonly DrillResult[]): string {
  if (results.length === 0) return "Nothing to try: no earlier export, or no key on this machine.";
  return results
    .map(
      ({ destination, recipient, name, problem }) =>
        `${problem === undefined ? "opened" : "FAILED"}  ${recipient}  ${destination}  ${name}` +
        (problem === undefined ? "" : `  ${problem}`),
    )
    .join("\n");
}

function describeCheck({ manifests, filesChecked, problems }: CheckReport): string {
  const lines = manifests.map(
    ({ name, sequence, sha256, keyName, keyId, rows, rowsChecked }) =>
      `${name}: ${rows} rows${rowsChecked ? ", seen" : ", sealed"}; head ${sequence}:${sha256}, signed by ${keyName} (${keyId})`,
  );
  const verdict =
    problems.length === 0
      ? `${filesChecked} files are what their manifests say.`
      : problems.map((problem) => `PROBLEM ${problem}`).join("\n");
  return [...lines, verdict].join("\n");
}

async function exportNow(context: Context, quiet: boolean): Promise<ExportResult> {
  armFailpoint(context.env["FETTLE_FAILPOINT"]); // crash tests
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
  if (outcome === "nothing-new" && files.length === 0) return "No new rows since the last export.";
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
    ...(await readingKeys(options, context)),
    output: toStdout ? undefined : options.out,
    stdout: toStdout ? process.stdout : undefined,
  });
  if (toStdout) return;
  context.out(options.json === true ? JSON.stringify(result) : describeDecryption(result));
}

/** The wrapping keys come from the variables that the exporter has; `--key` overrides its local one. */
async function readingKeys(
  { key, pgpPrivateKey }: { readonly key?: string; readonly pgpPrivateKey?: string },
  { env }: Context,
): Promise<ReadingKeys> {
  const { readKmsConfig } = await import("../../exporter/main.ts");
  const kms = readKmsConfig(key === undefined ? env : { ...env, AUDIT_LOCAL_KEY_FILE: key });
  return { pgpPrivateKeyFile: pgpPrivateKey, passphrase: env["FETTLE_PGP_PASSPHRASE"], kms };
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
