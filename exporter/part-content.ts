import { createHash } from "node:crypto";
import { jsonLines } from "./json-lines.ts";
import { memberNames } from "./name.ts";
import { plainNameOf, type Output, type Sealing } from "./outputs.ts";
import type { PartSummary } from "./parts.ts";
import { Reading } from "./reading.ts";
import type { ExportPlan, ExportSession, PlannedPart } from "./types.ts";
import { zipOf } from "./zip.ts";

interface ReadingDeps {
  readonly wantsTree: boolean;
  readonly sealing: Sealing;
  readonly signal?: AbortSignal | undefined;
}

interface Measured {
  readonly bytes: number;
  readonly sha256: string;
}

/** What a file is made of before it is sealed: its bytes, and behind them what its rows were. */
export interface PartContent {
  readonly bytes: AsyncIterable<Uint8Array>;
  /**
   * To be called once they have been read; size and hash are those of the CSV.
   *
   * @param seen size and hash of the bytes
   */
  summary(seen: Measured): PartSummary & Measured;
}

/** The rows of an export, read once for its CSVs; and beside it once more, where each stands in an archive with JSON lines. */
export class PartReader {
  readonly #csv: Reading;
  readonly #lines: Reading | undefined;
  readonly #plan: ExportPlan;
  readonly #sealing: Sealing;

  private constructor(
    csv: Reading,
    lines: Reading | undefined,
    plan: ExportPlan,
    sealing: Sealing,
  ) {
    this.#csv = csv;
    this.#lines = lines;
    this.#plan = plan;
    this.#sealing = sealing;
  }

  /** Runs `work` with the rows behind `before`, and then sees that the database gave no others. */
  static async use<T>(
    session: ExportSession,
    plan: ExportPlan,
    { before, form }: { readonly before: PlannedPart | undefined; readonly form: Output["form"] },
    deps: ReadingDeps,
    work: (reader: PartReader) => Promise<T>,
  ): Promise<T> {
    return withReading(session, plan, before, deps, async (csv) => {
      if (form === "csv") return work(new PartReader(csv, undefined, plan, deps.sealing));
      return session.beside(async (second) =>
        withReading(second, plan, before, { ...deps, wantsTree: false }, async (lines) =>
          work(new PartReader(csv, lines, plan, deps.sealing)),
        ),
      );
    });
  }

  /** Of the parts so far, and of the one that is being read. */
  get progress(): { readonly rows: number; readonly rowsRead: number; readonly bytes: number } {
    const { rows, rowsRead, bytes } = this.#csv;
    return { rows, rowsRead, bytes };
  }

  get treeState(): Reading["treeState"] {
    return this.#csv.treeState;
  }

  /** The next part. */
  part(part: number): PartContent {
    const csv = this.#csv;
    const lines = this.#lines;
    if (lines === undefined) {
      return { bytes: csv.part(), summary: (seen) => ({ ...csv.ended(seen.bytes), ...seen }) };
    }
    const hash = createHash("sha256");
    let bytes = 0;
    async function* measured(): AsyncGenerator<Buffer> {
      for await (const piece of csv.part()) {
        hash.update(piece);
        bytes += piece.length;
        yield piece;
      }
    }
    return {
      bytes: this.#archive(part, measured, lines),
      summary: (seen) => {
        const summary = csv.ended(seen.bytes);
        refuseOtherRows(summary, lines.ended(0));
        return { ...summary, bytes, sha256: hash.digest("hex") };
      },
    };
  }

  #archive(
    part: number,
    csv: () => AsyncIterable<Buffer>,
    lines: Reading,
  ): AsyncIterable<Uint8Array> {
    const { name, formula, range } = this.#plan;
    const { filenameSalt, compressed } = this.#sealing;
    const names = memberNames(plainNameOf(name.clear, part, "zip", filenameSalt));
    return zipOf(
      [
        { name: names.csv, content: csv },
        { name: names.jsonl, content: () => jsonLines(lines.part(), formula) },
      ],
      { changedAt: range.cutoff, compressed: !compressed },
    );
  }
}

async function withReading<T>(
  session: Pick<ExportSession, "read">,
  plan: ExportPlan,
  before: PlannedPart | undefined,
  deps: ReadingDeps,
  work: (reading: Reading) => Promise<T>,
): Promise<T> {
  const reading = new Reading(session, plan, before, deps);
  try {
    const result = await work(reading);
    await reading.finish();
    return result;
  } finally {
    await reading.close();
  }
}

/** Both were cut by themselves: the JSON lines must end where the CSV does. */
function refuseOtherRows(csv: PartSummary, lines: PartSummary | undefined): void {
  if (lines === undefined) return;
  if (lines.rows === csv.rows && lines.last?.id === csv.last?.id && lines.isLast === csv.isLast) {
    return;
  }
  throw new Error(
    `the rows were read twice, and were not the same: ${csv.rows} up to ${csv.last?.id ?? "none"}, ` +
      `then ${lines.rows} up to ${lines.last?.id ?? "none"}`,
  );
}
