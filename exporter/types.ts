import type { Readable } from "node:stream";
import type { MerkleState } from "../lib/merkle.ts";

/** A place in the audit table's order (xid, id): decimal texts, because both are 64-bit. */
export interface Position {
  readonly xid: string;
  readonly id: string;
}

/** The rows of one export: behind `after` (undefined: from the first row), from transactions below `horizonXid`. */
export interface RowRange {
  readonly after: Position | undefined;
  /** The last row of the range; the next export starts behind it. */
  readonly last: Position;
  /** Every transaction below it has ended, so the range never gains a row. */
  readonly horizonXid: string;
  readonly cutoff: Date;
}

export type FormulaRule = "escape" | "off";

/** What an export is called. With masking, `stored` is what the outside world sees; otherwise both are equal. */
interface ExportName {
  readonly clear: string;
  readonly stored: string;
}

export type ExportState = "planned" | "built" | "uploaded" | "done";

/** An export that is decided: committed before the first byte is read, so that a crashed run is finished as it was planned. */
export interface ExportPlan {
  readonly exportId: string;
  readonly state: ExportState;
  readonly range: RowRange;
  readonly name: ExportName;
  readonly formula: FormulaRule;
  /** Where the rows are cut into parts; see {@link PlannedPart}. */
  readonly partBytes: number;
  /** The parts that earlier attempts have read, in order. */
  readonly parts: readonly PlannedPart[];
  /** The signed manifest, once it is written: from then on it never changes. */
  readonly manifest: SignedManifest | undefined;
  /** Files that earlier attempts built for this plan; a destination may already hold one of them. */
  readonly builds: readonly BuiltFile[];
  readonly receipts: readonly Receipt[];
}

/** The plaintext of one part: a whole CSV with its header, cut at the end of a row. */
export interface PlannedPart {
  /** From 1. */
  readonly part: number;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly last: Position;
  /** The tree over all rows up to here; undefined when no manifest was wanted. */
  readonly tree: MerkleState | undefined;
  readonly isLast: boolean;
}

/** A manifest as it is stored, and its place in the chain. */
export interface SignedManifest {
  readonly sequence: number;
  readonly name: string;
  readonly sha256: string;
  readonly note: string;
}

/** A sealed file. `sha256` is of the file, `plaintextSha256` of what is inside; both are lower-case hex. */
export interface BuiltFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly plaintextBytes: number;
  readonly plaintextSha256: string;
  readonly rows: number;
}

/** A file of an export, or of a backup, ready to be handed over. */
export interface Parcel {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly exportId: string;
  readonly path: string;
  /** SHA-256 of every file that was ever built for this export: a destination that holds one of them has the export. */
  readonly knownSha256: ReadonlySet<string>;
}

/** A built file in the work folder. */
export interface Artifact extends BuiltFile, Parcel {
  /** The only destination that gets it; undefined: all. */
  readonly onlyAt?: string | undefined;
}

/** How sure we are that the destination holds our bytes. */
export type Verification =
  | "read-back-sha256"
  /** The destination worked the hash out by itself, and it is ours. */
  | "server-hash(sha256)"
  | "server-hash(crc32c)"
  | "server-hash(md5)"
  | "server-hash(content-hash)"
  | "server-hash(quickxor)"
  | "size-only"
  | "not-verified";

export interface Receipt {
  readonly destination: string;
  readonly name: string;
  /** Where to find it: a path or an address, without credentials. */
  readonly location: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly verifiedBy: Verification;
  /** True when an earlier, interrupted attempt had already put it there. */
  readonly adopted: boolean;
}

/** Where sealed files go. A destination never overwrites: creation is conditional on the name being free. */
export interface Destination {
  readonly name: string;
  /** Whether the name is in use there; asked before a new export chooses its name. */
  has(name: string, signal?: AbortSignal): Promise<boolean>;
  /** Uploads and verifies. @throws DestinationError */
  upload(parcel: Parcel, signal?: AbortSignal): Promise<Receipt>;
  /** Fetches a file to a new path. @throws DestinationError */
  download(name: string, path: string, signal?: AbortSignal): Promise<void>;
  /** Names that begin with `prefix`, in no particular order; where nothing was ever put there are none. @throws DestinationError */
  list(prefix: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** Takes a file away; one that is not there is no failure. @throws DestinationError */
  remove(name: string, signal?: AbortSignal): Promise<void>;
}

/** A finished export as one destination holds it. */
export interface StoredExport {
  readonly exportId: string;
  readonly cutoff: Date;
  /** Files first, the manifest last. */
  readonly files: readonly StoredFile[];
}

export interface StoredFile {
  readonly name: string;
  readonly sha256: string;
  /** Undefined of a manifest, which is not sealed. */
  readonly plaintextSha256: string | undefined;
}

/** What the rows of one part of an export must give when they are read again. */
export interface RowProof {
  readonly formula: FormulaRule;
  /** The tree over the rows before the part; undefined: it is the first. */
  readonly before: MerkleState | undefined;
  readonly after: MerkleState;
  /** What the manifest names, where the part is the last one of its export. */
  readonly root: string | undefined;
}

/** What past exports left at their destinations. */
export interface Archive {
  /** Newest first. */
  stored(destination: string): Promise<readonly StoredExport[]>;
  /** Also writes it into the audit trail. */
  recordDeleted(destination: string, exportId: string, names: readonly string[]): Promise<void>;
  /** Writes into the audit trail how many exports retention could not delete, and of the oldest ones which, and why. */
  recordHeld(
    destination: string,
    held: readonly { readonly exportId: string; readonly name: string; readonly reason: string }[],
  ): Promise<void>;
  /** Of the part that the file holds; undefined where no manifest names it. */
  proofOf(exportId: string, name: string): Promise<RowProof | undefined>;
  recordDrill(drill: Drill): Promise<void>;
  /** The last success of each recipient, at whichever destination. */
  lastDrills(): Promise<readonly { readonly recipient: string; readonly at: Date }[]>;
}

interface Drill {
  readonly recipient: string;
  readonly destination: string;
  readonly name: string;
  readonly at: Date;
}

/** Whole rows of CSV, in memory of its own: whoever has read it may give that away. */
export interface RowBatch {
  readonly csv: Buffer<ArrayBuffer>;
  /** Where each of them ends. */
  readonly ends: readonly number[];
}

/** A stream of CSV whose row count is known once it has ended. */
export interface CsvRows {
  /** Of {@link RowBatch}; the first row is the header. */
  readonly batches: Readable;
  /** To be called after the stream's end. */
  countRows(): Promise<number>;
}

/** What the manifest chain says so far. */
export interface ChainHead {
  readonly sequence: number;
  readonly sha256: string;
}

/** What is fixed with the plan besides its rows. */
export interface PlanChoices {
  readonly name: ExportName;
  readonly formula: FormulaRule;
  readonly partBytes: number;
}

/** What one export run may ask of the audit record while it alone holds the right to export. */
export interface ExportSession {
  /** The plan that an interrupted run left behind. */
  unfinished(): Promise<ExportPlan | undefined>;
  /** The rows that nobody has exported yet; undefined when there are none, unless an empty range is wanted. */
  newRange(options: { readonly evenIfEmpty: boolean }): Promise<RowRange | undefined>;
  isNameUsed(clearName: string): Promise<boolean>;
  commitPlan(range: RowRange, choices: PlanChoices): Promise<ExportPlan>;
  /** The rows of the plan, or those behind a part that is there already. */
  read(plan: ExportPlan, behind?: Position): CsvRows;
  /** Runs `work`, which may read the same rows beside that reading. */
  beside<T>(work: (second: Pick<ExportSession, "read">) => Promise<T>): Promise<T>;
  recordPart(plan: ExportPlan, part: PlannedPart): Promise<void>;
  recordBuild(plan: ExportPlan, file: BuiltFile): Promise<void>;
  /** The newest manifest of finished exports, which the next one names; undefined for the first. */
  chainHead(): Promise<ChainHead | undefined>;
  /** Names the cluster whose transaction ids the positions are; undefined where it may not be asked. */
  cluster(): Promise<string | undefined>;
  recordManifest(plan: ExportPlan, manifest: SignedManifest): Promise<void>;
  recordReceipt(plan: ExportPlan, receipt: Receipt): Promise<void>;
  /** All destinations have it. */
  recordUploaded(plan: ExportPlan): Promise<void>;
  /** Moves the cursor. */
  finish(plan: ExportPlan, rows: number): Promise<void>;
}

/** What an operator watches between exports. */
export interface SourceStatus {
  /** When the newest export was finished; undefined when there is none. */
  readonly lastDoneAt: Date | undefined;
  /** An interrupted run waits to be finished. */
  readonly hasUnfinished: boolean;
  /** Age of the oldest row that an open transaction keeps from being exported; 0 when there is none. */
  readonly horizonAgeSeconds: number;
}

/** The audit record as the exporter sees it. */
export interface AuditSource {
  /** @throws when the record cannot be reached */
  status(): Promise<SourceStatus>;
  /** Runs `work` unless another exporter is at it, in this process or elsewhere; then answers "busy". */
  exclusively<T>(work: (session: ExportSession) => Promise<T>): Promise<T | "busy">;
}

type ProgressStage = "plan" | "wrap" | "build" | "upload" | "verify" | "manifest" | "done";

/** Told on each stage and, while building, about every 8 MiB. `rows` is known once the rows have been read. */
export interface Progress {
  readonly stage: ProgressStage;
  readonly rows: number;
  readonly bytes: number;
}

interface ExportedFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly plaintextSha256: string;
}

export interface ExportResult {
  readonly outcome: "exported" | "nothing-new" | "busy";
  readonly exportId: string | undefined;
  /** True when this run finished what an earlier one had begun. */
  readonly resumed: boolean;
  readonly rows: number;
  readonly files: readonly ExportedFile[];
  readonly receipts: readonly Receipt[];
}
