import { hashOfRow, type AuditRow } from "./row.ts";

/** One thing that is wrong with the record. */
export interface AuditProblem {
  readonly kind: "edited" | "deleted" | "inserted" | "reordered" | "head changed" | "checkpoint";
  readonly chain: string | null;
  /** The row that it was noticed at; null when there is none left. */
  readonly id: string | null;
  /** One sentence for people. */
  readonly text: string;
}

/** A row with the head of its chain; null: the chain has none. */
export interface ChainedRow extends AuditRow {
  readonly head_rows: string | null;
  readonly head_hash: string | null;
}

/**
 * Walks along chains whose rows come in their order, one chain after the other, and tells the first thing that is wrong in
 * each: what comes behind it fits no more anyway.
 */
export class ChainWalk {
  readonly #tell: (problem: AuditProblem) => void;
  #last: ChainedRow | undefined;
  #broken = false;
  chains = 0;
  rows = 0;

  constructor(tell: (problem: AuditProblem) => void) {
    this.#tell = tell;
  }

  next(row: ChainedRow): void {
    if (row.chain !== this.#last?.chain) {
      this.#endChain();
      this.chains += 1;
    }
    this.rows += 1;
    if (!this.#broken) this.#found(rowProblem(row, this.#last));
    this.#last = row;
  }

  end(): void {
    this.#endChain();
  }

  #endChain(): void {
    if (this.#last !== undefined && !this.#broken) this.#found(endProblem(this.#last));
    this.#last = undefined;
    this.#broken = false;
  }

  #found(problem: AuditProblem | undefined): void {
    if (problem === undefined) return;
    this.#broken = true;
    this.#tell(problem);
  }
}

/** @param before the row before it in the chain; undefined for the first */
function rowProblem(row: ChainedRow, before: ChainedRow | undefined): AuditProblem | undefined {
  const { chain, id } = row;
  const expected = BigInt(before?.chain_row ?? 0) + 1n;
  const place = BigInt(row.chain_row ?? 0);
  if (place > expected) {
    const missing = place - expected;
    const which = missing === 1n ? `row ${expected} is` : `rows ${expected} to ${place - 1n} are`;
    const text = `${which} missing before row ${place} of its chain (id ${id})`;
    return { kind: "deleted", chain, id, text };
  }
  if (place < expected)
    return { kind: "inserted", chain, id, text: `id ${id} has a place that another row has` };
  if (hashOfRow(row) !== row.hash)
    return {
      kind: "edited",
      chain,
      id,
      text: `id ${id} is not what was written: its hash differs`,
    };
  if (row.prev_hash !== (before?.hash ?? null))
    return { kind: "reordered", chain, id, text: `id ${id} does not follow the row before it` };
  return undefined;
}

/** @param last the chain's last row */
function endProblem(last: ChainedRow): AuditProblem | undefined {
  const { chain, id, chain_row: place, hash, head_rows: rows, head_hash: headHash } = last;
  if (rows === null || headHash === null)
    return { kind: "head changed", chain, id, text: "the chain has lost its head" };
  const missing = BigInt(rows) - BigInt(place ?? 0);
  if (missing > 0n) {
    const text = `the last ${missing} of its ${rows} rows are missing, after id ${id}`;
    return { kind: "deleted", chain, id, text };
  }
  if (missing < 0n)
    return { kind: "inserted", chain, id, text: `it has more rows than its head counted: ${rows}` };
  if (headHash !== hash)
    return { kind: "head changed", chain, id, text: "its head is not the hash of its last row" };
  return undefined;
}
