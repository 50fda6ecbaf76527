import { createHash } from "node:crypto";
import { MerkleTree, type MerkleState } from "../lib/merkle.ts";
import { LeafEncoder } from "./leaf.ts";
import { PartSplitter } from "./parts.ts";
import type { FormulaRule } from "./types.ts";

/** Takes the rows of CSVs in order, and computes the tree over them again. */
export class RowReader {
  readonly #tree: MerkleTree;
  readonly #encoder: LeafEncoder;

  /** @param before the tree over the rows before them; undefined: they are the first */
  constructor(formula: FormulaRule, before?: MerkleState) {
    this.#tree = new MerkleTree(before);
    this.#encoder = new LeafEncoder(formula, (marked) => {
      this.#tree.appendMarked(marked);
    });
  }

  async read(bytes: AsyncIterable<Uint8Array>): Promise<{ rows: number; sha256: string }> {
    const hash = createHash("sha256");
    const splitter = new PartSplitter(bytes, {
      partBytes: Number.POSITIVE_INFINITY,
      rows: this.#encoder,
    });
    for await (const piece of splitter.part()) hash.update(piece);
    return { rows: splitter.summary.rows, sha256: hash.digest("hex") };
  }

  get state(): MerkleState {
    return this.#tree.state;
  }

  root(): string {
    return this.#tree.root().toString("hex");
  }
}
