import { createHash } from "node:crypto";
import { MerkleTree, type MerkleState } from "../lib/merkle.ts";
import { LeafEncoder } from "./leaf.ts";
import type { PartRows } from "./part-rows.ts";
import { PartSplitter } from "./parts.ts";
import { Twin } from "./twin.ts";
import type { FormulaRule } from "./types.ts";

/** What a part turned out to hold; the hash is of its CSV. */
interface SeenRows {
  readonly rows: number;
  readonly sha256: string;
  /** Where JSON lines say something else. */
  readonly twinProblem: string | undefined;
}

/** Takes the rows of CSVs in order, and computes the tree over them again. */
export class RowReader {
  readonly #tree: MerkleTree;
  readonly #encoder: LeafEncoder;
  readonly #formula: FormulaRule;

  /** @param before the tree over the rows before them; undefined: they are the first */
  constructor(formula: FormulaRule, before?: MerkleState) {
    this.#tree = new MerkleTree(before);
    this.#formula = formula;
    this.#encoder = new LeafEncoder(formula, (marked) => {
      this.#tree.appendMarked(marked);
    });
  }

  async read({ csv, twins }: PartRows): Promise<SeenRows> {
    const hash = createHash("sha256");
    const splitter = new PartSplitter(csv, {
      partBytes: Number.POSITIVE_INFINITY,
      rows: this.#encoder,
    });
    const followers = twins.map((twin) => new Twin(twin, this.#formula));
    try {
      let isHeader = true;
      for await (const piece of splitter.part()) {
        hash.update(piece);
        if (!isHeader) for (const twin of followers) await twin.follow(piece);
        isHeader = false;
      }
      const ends = await Promise.all(followers.map(async (twin) => twin.end()));
      const twinProblem = ends.find((problem) => problem !== undefined);
      return { rows: splitter.summary.rows, sha256: hash.digest("hex"), twinProblem };
    } finally {
      for (const twin of followers) await twin.close();
    }
  }

  get state(): MerkleState {
    return this.#tree.state;
  }

  root(): string {
    return this.#tree.root().toString("hex");
  }
}
