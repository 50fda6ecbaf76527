import type { MerkleState } from "../lib/merkle.ts";
import type { PartSummary } from "./parts.ts";
import type { FormulaRule } from "./types.ts";

/** What the thread that takes the rows is told when it begins. */
export interface RowJob {
  readonly partBytes: number;
  readonly formula: FormulaRule;
  /** The tree over the rows before; undefined: there are none. */
  readonly before: MerkleState | undefined;
}

/**
 * What it tells: pieces of a part in order, and behind each part what was in it; and of each chunk of CSV, when it takes it, how
 * long it was: a row may be larger than all that is sent ahead, and then nothing is handed out for it until its end is there. A
 * failure is its thread's error.
 */
export type RowNews =
  | { readonly tookBytes: number }
  | { readonly piece: Uint8Array<ArrayBuffer>; readonly rowsRead: number }
  | { readonly ended: PartSummary; readonly tree: MerkleState };
