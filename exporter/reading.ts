import type { Readable } from "node:stream";
import type { MerkleState } from "../lib/merkle.ts";
import { PartCutter } from "./cut-parts.ts";
import type { PartSummary } from "./parts.ts";
import type { CsvRows, ExportPlan, ExportSession, PlannedPart, RowBatch } from "./types.ts";
import { WorkerRows } from "./worker-rows.ts";

/** CSV in parts; with a tree over the rows, where one is wanted. */
interface Rows {
  part(): AsyncGenerator<Buffer>;
  readonly summary: PartSummary;
  readonly rowsRead: number;
  readonly tree?: MerkleState | undefined;
  close?(reason?: Error): Promise<void>;
}

/** One reading of the plan's rows, part by part. It begins with the first part, not before. */
export class Reading {
  readonly #open: () => { readonly source: CsvRows; readonly rows: Rows };
  readonly #signal: AbortSignal | undefined;
  #source: CsvRows | undefined;
  #rows: Rows | undefined;
  /** Rows and plaintext bytes of finished parts. */
  rows = 0;
  bytes = 0;

  constructor(
    session: Pick<ExportSession, "read">,
    plan: ExportPlan,
    before: PlannedPart | undefined,
    deps: { readonly wantsTree: boolean; readonly signal?: AbortSignal | undefined },
  ) {
    const { partBytes, formula } = plan;
    this.#signal = deps.signal;
    this.#open = () => {
      const source = session.read(plan, before?.last);
      // Hashing each row takes longer than all other stages together; cutting alone takes less than handing over.
      const rows = deps.wantsTree
        ? new WorkerRows(bytesOf(source.batches), { partBytes, formula, before: before?.tree })
        : new PartCutter(source.batches, partBytes);
      return { source, rows };
    };
  }

  get treeState(): MerkleState | undefined {
    return this.#rows?.tree;
  }

  /** Also of the part that is being read. */
  get rowsRead(): number {
    return this.#rows?.rowsRead ?? 0;
  }

  part(): AsyncGenerator<Buffer> {
    if (this.#rows === undefined) {
      const { source, rows } = this.#open();
      this.#source = source;
      this.#rows = rows;
      // A row that never comes would keep the pipeline from ending when it is told to.
      this.#signal?.addEventListener("abort", this.#cut, { once: true });
    }
    return this.#rows.part();
  }

  readonly #cut = (): void => {
    const batches: Readable | undefined = this.#source?.batches;
    const stopped = new DOMException("the export was stopped", "AbortError");
    batches?.destroy(stopped);
    this.#rows?.close?.(stopped).catch(() => undefined); // ended for good by close()
  };

  ended(plaintextBytes: number): PartSummary {
    const summary = this.#rows?.summary;
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

  async close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#cut);
    await this.#rows?.close?.();
    this.#source?.batches.destroy();
  }
}

async function* bytesOf(batches: AsyncIterable<RowBatch>): AsyncGenerator<RowBatch["csv"]> {
  for await (const { csv } of batches) yield csv;
}
