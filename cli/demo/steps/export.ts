import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { decryptFile, exportOnce, readExporterConfig } from "../../../exporter/main.ts";
import { run as showRun, type RunDetail } from "../../../runbooks/main.ts";
import { CommandFailure, EXIT } from "../../exit-code.ts";
import type { DemoWorld } from "../world.ts";

/** Exports the audit trail, opens the sealed file again, and compares its rows with the database's. */
export async function proveExport({ id }: RunDetail, world: DemoWorld): Promise<void> {
  const { services, narrator, keys, options, log } = world;
  narrator.step("Sealed export, and its proof");
  const result = await exportOnce(readExporterConfig(services.env), log);
  const [file] = result.files;
  const [receipt] = result.receipts;
  if (file === undefined || receipt === undefined)
    throw new CommandFailure(EXIT.error, `the export ended with ${result.outcome}`);
  narrator.say(
    `${result.rows} rows → CSV → OpenPGP → AES-256-GCM envelope, checked after writing (${receipt.verifiedBy})`,
  );
  narrator.highlight(
    `${relative(process.cwd(), receipt.location)}  (${file.bytes} bytes, sha256 ${file.sha256.slice(0, 16)}…)`,
  );

  const csvFile = join(options.folder, "audit.csv");
  const { localKeyFile, pgpPrivateKeyFile } = keys;
  const opened = await decryptFile({
    file: receipt.location,
    localKeyFile,
    pgpPrivateKeyFile,
    output: csvFile,
  });
  if (opened.sha256 !== file.plaintextSha256)
    throw new CommandFailure(EXIT.error, "the decrypted rows are not the exported ones");
  const events = await eventsInCsv(csvFile, id);
  const stored = (await showRun(services.env, id, log))?.audit.map(({ event }) => event) ?? [];
  if (events.join() !== stored.join())
    throw new CommandFailure(EXIT.error, `the CSV tells another story: ${events.join()}`);
  narrator.say(
    `opened again: sha256 of the rows is equal, and so is the story: ${events.join(" → ")}`,
  );
  narrator.say("by hand, with the demo's keys:");
  narrator.say(
    `  bin/fettle decrypt ${relative(process.cwd(), receipt.location)} --key ${relative(process.cwd(), localKeyFile)}`,
  );
  narrator.say(
    `  gpg --batch --import ${relative(process.cwd(), pgpPrivateKeyFile)} && gpg --decrypt ${relative(process.cwd(), receipt.location.replace(/\.envelope\.json$/, ""))}`,
  );
}

/** The events of one run, in the file's order. Their columns come before any that may hold a line break. */
async function eventsInCsv(path: string, runId: string): Promise<readonly string[]> {
  const [header = "", ...lines] = (await readFile(path, "utf8")).split("\n");
  const columns = header.split(",");
  const [runColumn, eventColumn] = [columns.indexOf("run_id"), columns.indexOf("event")];
  return lines
    .map((line) => line.split(","))
    .flatMap((cells) => (cells[runColumn] === runId ? [cells[eventColumn] ?? ""] : []));
}
