import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Clock } from "../lib/clock.ts";
import { failpoint } from "../lib/failpoint.ts";
import type { Log } from "../lib/log.ts";
import { MerkleTree } from "../lib/merkle.ts";
import { buildFile, findBuilt, type Layer } from "./build.ts";
import { compress } from "./compress.ts";
import { sealEnvelope } from "./envelope.ts";
import { jsonLines } from "./json-lines.ts";
import { LeafEncoder } from "./leaf.ts";
import { partNames, type Output, type Sealing } from "./outputs.ts";
import { PartSplitter } from "./parts.ts";
import type {
  Artifact,
  BuiltFile,
  CsvRows,
  ExportPlan,
  ExportSession,
  PlannedPart,
  Progress,
} from "./types.ts";
import { workName } from "./work-folder.ts";
import { wrapNewKey } from "./wrap-key.ts";

export interface BuildDeps {
  readonly sealing: Sealing;
  /** The parts' rows become leaves of a Merkle tree, for the manifest. */
  readonly wantsTree: boolean;
  readonly workFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onProgress: (progress: Progress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What is known of an export while it is built; grows with each part. */
export interface Progressed {
  readonly parts: PlannedPart[];
  readonly builds: BuiltFile[];
}

/** A file of the export and which part of which form it is. */
export interface PartFile extends Artifact {
  readonly part: number;
  readonly form: Output["form"];
}

/**
 * Builds all parts of one output in the work folder. Parts that an interrupted run left ready are kept, and reading goes on
 * behind them.
 */
export async function buildParts(
  session: ExportSession,
  plan: ExportPlan,
  output: Output,
  known: Progressed,
  deps: BuildDeps,
): Promise<readonly PartFile[]> {
  const files = await readyParts(plan, output, known, deps);
  const before = known.parts[files.length - 1];
  if (before?.isLast === true) return files;
  const reading = new Reading(session, plan, before, deps);
  try {
    for (let part = files.length + 1; ; part++) {
      const target = { part, output, ...targetOf(plan, part, output, deps) };
      const { file, summary } = await buildPart(reading, plan, target, deps);
      refuseChangedRows(plan, summary, known.parts[part - 1], output);
      if (output.form === "csv") {
        known.parts[part - 1] = summary;
        await session.recordPart(plan, summary);
      }
      known.builds.push(file);
      await session.recordBuild(plan, file);
      files.push(asPartFile(plan, file, target, known));
      await failpoint("export-part-built");
      if (summary.isLast) break;
    }
    await reading.finish();
    return files;
  } finally {
    reading.close();
  }
}

interface Target {
  readonly part: number;
  readonly output: Output;
  readonly inner: string;
  readonly outer: string;
  readonly path: string;
}

function targetOf(plan: ExportPlan, part: number, output: Output, deps: BuildDeps) {
  const names = partNames(plan.name.clear, part, output, deps.sealing.filenameSalt);
  return { ...names, path: join(deps.workFolder, workName(plan.exportId, names.outer)) };
}

async function readyParts(
  plan: ExportPlan,
  output: Output,
  known: Progressed,
  deps: BuildDeps,
): Promise<PartFile[]> {
  const ready: PartFile[] = [];
  for (const { part, tree } of known.parts) {
    if (deps.wantsTree && tree === undefined) break;
    const target = { part, output, ...targetOf(plan, part, output, deps) };
    const file = await findBuilt(known.builds, target.outer, target.path);
    if (file === undefined) break;
    ready.push(asPartFile(plan, file, target, known));
  }
  return ready;
}

function asPartFile(
  { exportId }: ExportPlan,
  file: BuiltFile,
  { part, output, path }: Target,
  { builds }: Progressed,
): PartFile {
  const known = builds.filter(({ name }) => name === file.name).map(({ sha256 }) => sha256);
  return { ...file, exportId, path, knownSha256: new Set(known), part, form: output.form };
}

async function buildPart(
  reading: Reading,
  plan: ExportPlan,
  target: Target,
  deps: BuildDeps,
): Promise<{ file: BuiltFile; summary: PlannedPart }> {
  const { part, output, inner, outer, path } = target;
  deps.onProgress({ stage: "wrap", rows: reading.rows, bytes: reading.bytes });
  // Before any row is read: a key service that is down costs nothing then.
  const layers = await layersOf(plan, inner, output, deps);
  deps.onProgress({ stage: "build", rows: reading.rows, bytes: reading.bytes });
  const csv = reading.part();
  const built = await buildFile(output.form === "csv" ? csv : jsonLines(csv, plan.formula), {
    name: outer,
    path,
    layers,
    signal: deps.signal,
    onBytes: (bytes) => {
      deps.onProgress({ stage: "build", rows: reading.rows, bytes: reading.bytes + bytes });
    },
  });
  const { rows, last, isLast } = reading.ended(built.plaintextBytes);
  const { plaintextBytes: bytes, plaintextSha256: sha256 } = built;
  const summary = { part, rows, bytes, sha256, last: last ?? plan.range.last, isLast };
  return { file: { ...built, rows }, summary: { ...summary, tree: reading.treeState } };
}

async function layersOf(
  { exportId }: ExportPlan,
  originalFilename: string,
  { recipients }: Output,
  { sealing, clock, log }: BuildDeps,
): Promise<Layer[]> {
  const layers: Layer[] = [];
  if (sealing.compressed) layers.push(compress());
  if (recipients.length > 0) layers.push(sealing.encryptTo(recipients, sealing.pgpComment));
  if (sealing.wrappers.length > 0) {
    const { wrappers, wrapRules } = sealing;
    const { dek, wrappedKeys, keyIds, failures } = await wrapNewKey(wrappers, wrapRules);
    for (const failure of failures) log.error("sealed without a wrapping key", { failure });
    const head = { originalFilename, exportId, wrappedKeys, keyIds, created: clock.now() };
    layers.push(sealEnvelope(head, dek));
  }
  return layers;
}

/** One reading of the plan's rows, part by part. It begins with the first part, not before. */
class Reading {
  readonly #open: () => CsvRows;
  readonly #options: { readonly partBytes: number; readonly onRow?: (row: Uint8Array) => void };
  readonly #tree: MerkleTree | undefined;
  readonly #signal: AbortSignal | undefined;
  #source: CsvRows | undefined;
  #splitter: PartSplitter | undefined;
  /** Rows and plaintext bytes of finished parts. */
  rows = 0;
  bytes = 0;

  constructor(
    session: ExportSession,
    plan: ExportPlan,
    before: PlannedPart | undefined,
    { wantsTree, signal }: BuildDeps,
  ) {
    this.#open = () => session.read(plan, before?.last);
    this.#signal = signal;
    const { partBytes } = plan;
    if (wantsTree) {
      const tree = new MerkleTree(before?.tree);
      const encoder = new LeafEncoder(plan.formula);
      this.#tree = tree;
      this.#options = {
        partBytes,
        onRow: (row) => {
          tree.append(encoder.encode(row));
        },
      };
    } else this.#options = { partBytes };
  }

  get treeState(): PlannedPart["tree"] {
    return this.#tree?.state;
  }

  part(): AsyncGenerator<Buffer> {
    if (this.#splitter === undefined) {
      this.#source = this.#open();
      this.#splitter = new PartSplitter(this.#source.csv, this.#options);
      // A row that never comes would keep the pipeline from ending when it is told to.
      this.#signal?.addEventListener("abort", this.#cut, { once: true });
    }
    return this.#splitter.part();
  }

  readonly #cut = (): void => {
    const csv: Readable | undefined = this.#source?.csv;
    csv?.destroy(new DOMException("the export was stopped", "AbortError"));
  };

  ended(plaintextBytes: number) {
    const summary = this.#splitter?.summary;
    if (summary === undefined) throw new Error("no part has been read");
    this.rows += summary.rows;
    this.bytes += plaintextBytes;
    return summary;
  }

  /** The database's count must be ours: a row end that was not seen as one would spoil the parts and the manifest. */
  async finish(): Promise<void> {
    const counted = await this.#source?.countRows();
    if (counted !== this.rows) {
      throw new Error(`the database sent ${counted ?? 0} rows, ${this.rows} were exported`);
    }
  }

  close(): void {
    this.#signal?.removeEventListener("abort", this.#cut);
    this.#source?.csv.destroy();
  }
}

/** The same plan must give the same rows: the audit table is append-only and the range is closed. */
function refuseChangedRows(
  { exportId }: ExportPlan,
  now: PlannedPart,
  earlier: PlannedPart | undefined,
  { form }: Output,
): void {
  if (earlier === undefined) return;
  const isSame = form === "csv" ? now.sha256 === earlier.sha256 : sameRows(now, earlier);
  if (isSame) return;
  throw new Error(
    `export ${exportId}: its rows are not those of its first attempt (part ${now.part}: SHA-256 ${earlier.sha256}, ` +
      `now ${now.sha256}). Audit rows were changed, or another version of the exporter built it; ` +
      "delete its rows in audit_export_parts, audit_export_builds and audit_export_receipts to accept the present rows",
  );
}

function sameRows(now: PlannedPart, earlier: PlannedPart): boolean {
  return (
    now.rows === earlier.rows &&
    now.last.id === earlier.last.id &&
    now.tree?.edge.join() === earlier.tree?.edge.join()
  );
}
