import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { compress } from "../lib/compress.ts";
import { sealUnder } from "../lib/envelope/seal-under.ts";
import { failpoint } from "../lib/failpoint.ts";
import type { Log } from "../lib/log.ts";
import { buildFile, findBuilt, type Layer, type Tap } from "./build.ts";
import { KEPT_AT, tapsOf } from "./keep.ts";
import { partNames, type Output, type Sealing } from "./outputs.ts";
import { PartReader } from "./part-content.ts";
import type {
  Artifact,
  BuiltFile,
  ExportPlan,
  ExportSession,
  PlannedPart,
  Progress,
} from "./types.ts";
import { workName } from "./work-folder.ts";

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
  const { files, kept } = await readyParts(plan, output, known, deps);
  const before = known.parts[files.length - 1];
  if (before?.isLast === true) return [...files, ...kept];
  const { form } = output;
  await PartReader.use(session, plan, { before, form }, deps, async (reader) => {
    for (let part = files.length + 1; ; part++) {
      const target = targetOf(plan, part, output, deps);
      const { file, copies, summary } = await buildPart(reader, plan, target, deps);
      refuseChangedRows(plan, summary, known.parts[part - 1]);
      known.parts[part - 1] = summary;
      await session.recordPart(plan, summary);
      for (const each of [file, ...copies]) {
        known.builds.push(each);
        await session.recordBuild(plan, each);
      }
      files.push(asPartFile(plan, file, target, known));
      kept.push(...keptFiles(plan, copies, target, known));
      await failpoint("export-part-built");
      if (summary.isLast) break;
    }
  });
  return [...files, ...kept];
}

interface Target {
  readonly part: number;
  readonly output: Output;
  readonly inner: string;
  readonly outer: string;
  readonly path: string;
  readonly taps: readonly Tap[];
}

function targetOf(plan: ExportPlan, part: number, output: Output, deps: BuildDeps): Target {
  const pathOf = (name: string) => join(deps.workFolder, workName(plan.exportId, name));
  const { sealing } = deps;
  const names = partNames(plan.name.clear, part, output, sealing.filenameSalt);
  const taps = tapsOf(plan.name.clear, part, output, sealing, pathOf);
  return { part, output, ...names, path: pathOf(names.outer), taps };
}

async function readyParts(
  plan: ExportPlan,
  output: Output,
  known: Progressed,
  deps: BuildDeps,
): Promise<{ files: PartFile[]; kept: PartFile[] }> {
  const ready = { files: [] as PartFile[], kept: [] as PartFile[] };
  for (const { part, tree } of known.parts) {
    if (deps.wantsTree && tree === undefined) break;
    const target = targetOf(plan, part, output, deps);
    const copies: BuiltFile[] = [];
    for (const { name, path } of target.taps) {
      const copy = await findBuilt(known.builds, name, path);
      if (copy !== undefined) copies.push(copy);
    }
    const file = await findBuilt(known.builds, target.outer, target.path);
    if (file === undefined || copies.length < target.taps.length) break;
    ready.files.push(asPartFile(plan, file, target, known));
    ready.kept.push(...keptFiles(plan, copies, target, known));
  }
  return ready;
}

/** Copies stay on this machine. */
function keptFiles(
  plan: ExportPlan,
  copies: readonly BuiltFile[],
  target: Target,
  known: Progressed,
): PartFile[] {
  return copies.map((copy, n) => {
    const path = target.taps[n]?.path ?? "";
    return { ...asPartFile(plan, copy, { ...target, path }, known), onlyAt: KEPT_AT };
  });
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
  reader: PartReader,
  plan: ExportPlan,
  target: Target,
  deps: BuildDeps,
): Promise<{ file: BuiltFile; copies: readonly BuiltFile[]; summary: PlannedPart }> {
  const { part, output, inner, outer, path, taps } = target;
  const { rows: rowsBefore, bytes: bytesBefore } = reader.progress;
  deps.onProgress({ stage: "wrap", rows: rowsBefore, bytes: bytesBefore });
  // Before any row is read: a key service that is down costs nothing then.
  const layers = await layersOf(plan, inner, output, deps);
  deps.onProgress({ stage: "build", rows: rowsBefore, bytes: bytesBefore });
  const content = reader.part(part);
  const { file: built, kept } = await buildFile(content.bytes, {
    name: outer,
    path,
    layers,
    taps,
    signal: deps.signal,
    onBytes: (bytes) => {
      const rows = reader.progress.rowsRead;
      deps.onProgress({ stage: "build", rows, bytes: bytesBefore + bytes });
    },
  });
  const { rows, last, isLast, bytes, sha256 } = content.summary({
    bytes: built.plaintextBytes,
    sha256: built.plaintextSha256,
  });
  const summary = { part, rows, bytes, sha256, last: last ?? plan.range.last, isLast };
  return {
    file: { ...built, rows },
    copies: kept.map((copy) => ({ ...copy, rows })),
    summary: { ...summary, tree: reader.treeState },
  };
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
    const head = { originalFilename, exportId, created: clock.now() };
    const { layer, failures } = await sealUnder(sealing, head);
    for (const failure of failures) log.error("sealed without a wrapping key", { failure });
    layers.push(layer);
  }
  return layers;
}

/** The same plan must give the same rows: the audit table is append-only and the range is closed. */
function refuseChangedRows(
  { exportId }: ExportPlan,
  now: PlannedPart,
  earlier: PlannedPart | undefined,
): void {
  if (earlier === undefined || now.sha256 === earlier.sha256) return;
  throw new Error(
    `export ${exportId}: its rows are not those of its first attempt (part ${now.part}: SHA-256 ${earlier.sha256}, ` +
      `now ${now.sha256}). Audit rows were changed, or another version of the exporter built it; ` +
      "delete its rows in audit_export_parts, audit_export_builds and audit_export_receipts to accept the present rows",
  );
}
