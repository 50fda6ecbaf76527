import { unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { failpoint } from "../lib/failpoint.ts";
import type { Log } from "../lib/log.ts";
import { buildFile, findBuilt, refuseChangedRows, type Layer } from "./build.ts";
import { sealEnvelope } from "./envelope.ts";
import { nameFor, namesOf, sealedNames, type Layers } from "./name.ts";
import { encryptTo } from "./pgp.ts";
import type { Recipient } from "./recipients.ts";
import type {
  Artifact,
  AuditSource,
  BuiltFile,
  Destination,
  ExportPlan,
  ExportResult,
  ExportSession,
  FormulaRule,
  KeyWrapper,
  Progress,
  Receipt,
} from "./types.ts";
import { uploadToAll } from "./upload.ts";
import { verifyReceipts } from "./verify.ts";
import { preparePrivateFolder, sweepWorkFolder, workName } from "./work-folder.ts";
import { wrapNewKey } from "./wrap-key.ts";

export interface ExportDeps {
  readonly source: AuditSource;
  readonly destinations: readonly Destination[];
  /** Empty: no OpenPGP layer. */
  readonly recipients: readonly Recipient[];
  readonly pgpComment: string | undefined;
  /** Empty: no envelope. */
  readonly wrappers: readonly KeyWrapper[];
  readonly formula: FormulaRule;
  readonly filenameSalt: string | undefined;
  readonly workFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onProgress: (progress: Progress) => void;
  readonly signal?: AbortSignal | undefined;
  /** For tests; the default is the largest part that the decryption guide can open. */
  readonly partBytesMax?: number | undefined;
}

/**
 * One export: plan → wrap key → read → csv → pgp → envelope → file → upload → verify → mark. The plan is committed before the
 * first byte is read and the cursor moves at the very end, so whatever happens in between, the next run goes on with the
 * same rows under the same name, and no row is lost or exported as two files.
 */
export async function exportAudit(deps: ExportDeps): Promise<ExportResult> {
  const result = await deps.source.exclusively(async (session) => {
    await prepareWorkFolder(deps);
    tell(deps, "plan");
    const interrupted = await session.unfinished();
    const plan = interrupted ?? (await planNext(session, deps));
    if (plan === undefined) return nothing("nothing-new");
    await failpoint("export-planned");

    const artifact = await build(session, plan, deps);
    await failpoint("export-built");

    tell(deps, "upload", artifact);
    const receipts = await uploadToAll(artifact, deps.destinations, plan, {
      record: async (receipt) => session.recordReceipt(plan, receipt),
      signal: deps.signal,
    });
    await session.recordUploaded(plan);
    await failpoint("export-uploaded");

    tell(deps, "verify", artifact);
    verifyReceipts(artifact, receipts);

    await session.finish(plan);
    await unlink(artifact.path);
    tell(deps, "done", artifact);
    return exported(plan, artifact, receipts, interrupted !== undefined);
  });
  return result === "busy" ? nothing("busy") : result;
}

/** Fixes what the next export contains and is called. */
async function planNext(session: ExportSession, deps: ExportDeps): Promise<ExportPlan | undefined> {
  const range = await session.newRange();
  if (range === undefined) return undefined;
  for (const clear of namesOf(range.cutoff)) {
    if (await session.isNameUsed(clear)) continue;
    const name = nameFor(clear, deps.filenameSalt);
    const { outer } = sealedNames(name.stored, layersOf(deps));
    if (await isTakenSomewhere(outer, deps)) continue;
    return session.commitPlan(range, name, deps.formula);
  }
  throw new Error("no file name is free for today's export");
}

async function isTakenSomewhere(name: string, deps: ExportDeps): Promise<boolean> {
  for (const destination of deps.destinations) {
    if (await destination.has(name, deps.signal)) return true;
  }
  return false;
}

/** The file that an interrupted run left ready, or a new one. */
async function build(
  session: ExportSession,
  plan: ExportPlan,
  deps: ExportDeps,
): Promise<Artifact> {
  const names = sealedNames(plan.name.stored, layersOf(deps));
  const path = join(deps.workFolder, workName(plan.exportId, names.outer));
  const ready = await findBuilt(plan, names.outer, path);
  const built = ready ?? (await buildAnew(session, plan, { ...names, path }, deps));
  const known = [...plan.builds, built].map(({ sha256 }) => sha256);
  return {
    ...built,
    exportId: plan.exportId,
    path,
    knownSha256: new Set(known),
  };
}

async function buildAnew(
  session: ExportSession,
  plan: ExportPlan,
  { inner, outer, path }: { readonly inner: string; readonly outer: string; readonly path: string },
  deps: ExportDeps,
): Promise<BuiltFile> {
  tell(deps, "wrap");
  // Before any row is read: a key service that is down costs nothing then.
  const envelope = await envelopeLayer(plan, inner, deps);
  tell(deps, "build");
  const built = await buildFile(session.read(plan), {
    name: outer,
    path,
    layers: [...pgpLayer(deps), ...envelope],
    signal: deps.signal,
    onBytes: (bytes) => {
      tell(deps, "build", { rows: 0, bytes });
    },
    limitBytes: deps.partBytesMax,
  });
  refuseChangedRows(plan, built);
  await session.recordBuild(plan, built);
  return built;
}

function pgpLayer({ recipients, pgpComment }: ExportDeps): Layer[] {
  return recipients.length === 0 ? [] : [encryptTo(recipients, pgpComment)];
}

async function envelopeLayer(
  { exportId }: ExportPlan,
  originalFilename: string,
  { wrappers, clock, partBytesMax }: ExportDeps,
): Promise<Layer[]> {
  if (wrappers.length === 0) return [];
  const { dek, wrappedKeys, keyIds } = await wrapNewKey(wrappers);
  const head = { originalFilename, exportId, wrappedKeys, keyIds, created: clock.now() };
  return [sealEnvelope(head, dek, partBytesMax)];
}

function layersOf({ recipients, pgpComment, wrappers }: ExportDeps): Layers {
  const armor = pgpComment === undefined ? "binary" : "armored";
  return { pgp: recipients.length === 0 ? undefined : armor, envelope: wrappers.length > 0 };
}

async function prepareWorkFolder({ workFolder, clock, log }: ExportDeps): Promise<void> {
  await preparePrivateFolder(workFolder);
  const swept = await sweepWorkFolder(workFolder, clock.now());
  if (swept.length > 0) log.warn("removed leftovers of killed runs", { files: swept });
}

function tell(
  { onProgress }: ExportDeps,
  stage: Progress["stage"],
  { rows, bytes }: { readonly rows: number; readonly bytes: number } = { rows: 0, bytes: 0 },
): void {
  onProgress({ stage, rows, bytes });
}

function nothing(outcome: "nothing-new" | "busy"): ExportResult {
  return { outcome, exportId: undefined, resumed: false, rows: 0, files: [], receipts: [] };
}

function exported(
  plan: ExportPlan,
  { name, bytes, sha256, plaintextSha256, rows }: Artifact,
  receipts: readonly Receipt[],
  resumed: boolean,
): ExportResult {
  return {
    outcome: "exported",
    exportId: plan.exportId,
    resumed,
    rows,
    files: [{ name, bytes, sha256, plaintextSha256 }],
    receipts,
  };
}
