import { failpoint } from "../lib/failpoint.ts";
import { buildParts, type BuildDeps, type PartFile } from "./build-parts.ts";
import { DestinationError } from "./destination-error.ts";
import { isFor } from "./keep.ts";
import type { Signer } from "./manifest.ts";
import { manifestName, namesOf, storedName } from "./name.ts";
import { firstNames, outputsOf } from "./outputs.ts";
import { sealManifest } from "./seal-manifest.ts";
import type {
  Artifact,
  AuditSource,
  Destination,
  ExportPlan,
  ExportResult,
  ExportSession,
  FormulaRule,
  PlannedPart,
  Progress,
  Receipt,
} from "./types.ts";
import { uploadToAll } from "./upload.ts";
import { verifyReceipts } from "./verify.ts";
import { clearExport, preparePrivateFolder, sweepWorkFolder } from "./work-folder.ts";

export interface ExportDeps extends Omit<BuildDeps, "wantsTree"> {
  readonly source: AuditSource;
  readonly destinations: readonly Destination[];
  readonly formula: FormulaRule;
  /** Where rows are cut into parts. */
  readonly partBytes: number;
  /** Undefined: no manifests. */
  readonly signer: Signer | undefined;
}

/**
 * One export: plan → (wrap key → read → csv → pgp → envelope → file) for each part → upload → verify → manifest → mark. The
 * plan is committed before the first byte is read and the cursor moves at the very end, so whatever happens in between,
 * the next run goes on with the same rows under the same names, and no row is lost or exported twice.
 */
export async function exportAudit(deps: ExportDeps): Promise<ExportResult> {
  const result = await deps.source.exclusively(async (session) => {
    await prepareWorkFolder(deps);
    tell(deps, "plan");
    const interrupted = await session.unfinished();
    const plan = interrupted ?? (await planNext(session, deps));
    if (plan === undefined) return nothing("nothing-new");
    await failpoint("export-planned");

    const { parts, files } = await buildAll(session, plan, deps);
    await failpoint("export-built");

    tell(deps, "upload", files);
    const run = { session, plan, destinations: destinationsFor(plan, files, deps) };
    const receipts = await deliver(files, run, deps);
    await session.recordUploaded(plan);
    await failpoint("export-uploaded");

    const manifest = await sealManifest({ ...run, parts, files, receipts }, deps);
    if (manifest !== undefined) {
      tell(deps, "manifest", files);
      await failpoint("export-signed");
      receipts.push(...(await deliver([manifest], run, deps)));
      await failpoint("export-manifest-uploaded");
    }

    const all = manifest === undefined ? files : [...files, manifest];
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    // Before the mark: a run that is killed between the two is gone on with, and nothing is left for nobody, plaintext least.
    await clearExport(deps.workFolder, plan.exportId);
    await failpoint("export-cleared");
    await session.finish(plan, rows);
    tell(deps, "done", files);
    return exported(plan, { rows, files: all, receipts, resumed: interrupted !== undefined });
  });
  return result === "busy" ? nothing("busy") : result;
}

/** Fixes what the next export contains and is called. */
async function planNext(session: ExportSession, deps: ExportDeps): Promise<ExportPlan | undefined> {
  // With manifests an export without rows is proof that there were none.
  const range = await session.newRange({ evenIfEmpty: deps.signer !== undefined });
  if (range === undefined) return undefined;
  const { sealing, formula, partBytes } = deps;
  const silent = new Set<Destination>();
  for (const clear of namesOf(range.cutoff)) {
    if (await session.isNameUsed(clear)) continue;
    const name = { clear, stored: storedName(clear, sealing.filenameSalt) };
    const names = [
      ...firstNames({ name }, sealing),
      storedName(manifestName(clear), sealing.filenameSalt),
    ];
    if (await isTakenSomewhere(names, silent, deps)) continue;
    return session.commitPlan(range, { name, formula, partBytes });
  }
  throw new Error("no file name is free for today's export");
}

/**
 * A destination that cannot be asked keeps the others from nothing: it counts as free, since nothing is overwritten anyway.
 *
 * @param silent those that could not be asked; they are asked no more
 */
async function isTakenSomewhere(
  names: readonly string[],
  silent: Set<Destination>,
  { destinations, log, signal }: ExportDeps,
): Promise<boolean> {
  for (const destination of destinations.filter((each) => !silent.has(each))) {
    try {
      for (const name of names) if (await destination.has(name, signal)) return true;
    } catch (error) {
      if (!(error instanceof DestinationError)) throw error;
      silent.add(destination);
      log.warn("a destination does not say which names are free", { error: error.message });
    }
  }
  return false;
}

/** The files of all outputs, and the parts that they are of. An export without rows has none. */
async function buildAll(
  session: ExportSession,
  plan: ExportPlan,
  deps: ExportDeps,
): Promise<{ parts: readonly PlannedPart[]; files: readonly PartFile[] }> {
  const known = { parts: [...plan.parts], builds: [...plan.builds] };
  if (isEmpty(plan)) return { parts: [], files: [] };
  const files: PartFile[] = [];
  for (const output of outputsOf(deps.sealing)) {
    const wantsTree = deps.signer !== undefined;
    files.push(...(await buildParts(session, plan, output, known, { ...deps, wantsTree })));
  }
  return { parts: known.parts, files };
}

function isEmpty({ range: { after, last } }: ExportPlan): boolean {
  return last.xid === (after?.xid ?? "0") && last.id === (after?.id ?? "0");
}

/**
 * Once the manifest is signed, the files are what it says: a destination that came later would get files that were built
 * anew and are not in it, so it begins with the next export.
 */
function destinationsFor(
  { manifest, receipts }: ExportPlan,
  files: readonly Artifact[],
  { destinations }: ExportDeps,
): readonly Destination[] {
  if (manifest === undefined) return destinations;
  return destinations.filter(({ name: destination }) =>
    files.every(
      (file) =>
        !isFor(file, destination) ||
        receipts.some(({ destination: at, name }) => at === destination && name === file.name),
    ),
  );
}

interface Delivery {
  readonly session: ExportSession;
  readonly plan: ExportPlan;
  readonly destinations: readonly Destination[];
}

async function deliver(
  files: readonly Artifact[],
  { session, plan, destinations }: Delivery,
  deps: ExportDeps,
): Promise<Receipt[]> {
  const receipts = await uploadToAll(files, destinations, plan, {
    record: async (receipt) => session.recordReceipt(plan, receipt),
    signal: deps.signal,
  });
  tell(deps, "verify", files);
  verifyReceipts(files, receipts, destinations);
  return [...receipts];
}

async function prepareWorkFolder({ workFolder, clock, log }: ExportDeps): Promise<void> {
  await preparePrivateFolder(workFolder);
  const swept = await sweepWorkFolder(workFolder, clock.now());
  if (swept.length > 0) log.warn("removed leftovers of killed runs", { files: swept });
}

function tell(
  { onProgress }: ExportDeps,
  stage: Progress["stage"],
  files: readonly Artifact[] = [],
): void {
  const sum = (count: (file: Artifact) => number) =>
    files.reduce((total, file) => total + count(file), 0);
  onProgress({ stage, rows: sum(({ rows }) => rows), bytes: sum(({ bytes }) => bytes) });
}

function nothing(outcome: "nothing-new" | "busy"): ExportResult {
  return { outcome, exportId: undefined, resumed: false, rows: 0, files: [], receipts: [] };
}

function exported(
  plan: ExportPlan,
  result: Pick<ExportResult, "rows" | "receipts" | "resumed"> & {
    readonly files: readonly Artifact[];
  },
): ExportResult {
  const { rows, receipts, resumed, files } = result;
  return {
    outcome: isEmpty(plan) ? "nothing-new" : "exported",
    exportId: plan.exportId,
    resumed,
    rows,
    files: files.map(({ name, bytes, sha256, plaintextSha256 }) => ({
      name,
      bytes,
      sha256,
      plaintextSha256,
    })),
    receipts,
  };
}
