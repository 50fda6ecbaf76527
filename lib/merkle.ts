import { hash } from "node:crypto";

const HASH_BYTES = 32;
/** The byte before a leaf where it is hashed; before a pair of subtrees it is another one. */
export const LEAF_MARK = 0;
const NODE_MARK = 1;

/** The size of a tree and its right edge, as lower-case hex. */
export interface MerkleState {
  readonly size: number;
  readonly edge: readonly string[];
}

/**
 * The Merkle tree of RFC 6962 §2.1 over leaves that come one by one. It keeps one hash for each full subtree on the right
 * edge (log₂ n hashes of 32 bytes), so millions of leaves need no memory.
 */
export class MerkleTree {
  /**
   * Roots of the full subtrees, the largest first: one for each 1 in `size` written in binary. As latin1 texts, because
   * a Buffer for each hash costs as much as the hash (measured).
   */
  readonly #edge: string[];
  #size: number;
  #leaf = Buffer.alloc(4096);
  readonly #node = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_MARK);

  /** Goes on where another tree stood; see {@link MerkleTree.state}. */
  constructor(state: MerkleState = { size: 0, edge: [] }) {
    this.#size = state.size;
    this.#edge = state.edge.map((hex) => Buffer.from(hex, "hex").toString("latin1"));
    if (this.#edge.length !== onesIn(this.#size)) {
      throw new Error(`a tree of ${this.#size} leaves does not have ${this.#edge.length} subtrees`);
    }
  }

  get size(): number {
    return this.#size;
  }

  /** What another tree needs to go on from here. */
  get state(): MerkleState {
    const edge = this.#edge.map((root) => Buffer.from(root, "latin1").toString("hex"));
    return { size: this.#size, edge };
  }

  append(leaf: Uint8Array): void {
    if (leaf.length >= this.#leaf.length) this.#leaf = Buffer.alloc(2 * leaf.length);
    this.#leaf[0] = LEAF_MARK;
    this.#leaf.set(leaf, 1);
    this.appendMarked(this.#leaf.subarray(0, 1 + leaf.length));
  }

  /** For leaves by the million, which are made behind their mark so that nothing is copied. @param marked {@link LEAF_MARK}, then the leaf */
  appendMarked(marked: Uint8Array): void {
    let subtree = hash("sha256", marked, "binary");
    // Each full pair below the new leaf becomes one subtree: as many as the old size has ones at its end.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      subtree = this.#hashPair(this.#edge.pop() ?? "", subtree);
    }
    this.#edge.push(subtree);
    this.#size += 1;
  }

  /** 32 bytes; of the empty tree the SHA-256 of nothing. */
  root(): Buffer {
    if (this.#size === 0) return hash("sha256", "", "buffer");
    const root = this.#edge.reduceRight((right, left) => this.#hashPair(left, right));
    return Buffer.from(root, "latin1");
  }

  #hashPair(left: string, right: string): string {
    this.#node.write(left, 1, "latin1");
    this.#node.write(right, 1 + HASH_BYTES, "latin1");
    return hash("sha256", this.#node, "binary");
  }
}

function onesIn(size: number): number {
  return size.toString(2).replaceAll("0", "").length;
}
