import type { PartRows } from "./part-rows.ts";
import { RowReader } from "./row-reader.ts";
import type { RowProof } from "./types.ts";

/**
 * Computes the tree over a part's rows again, from the rows themselves: the export's recorded edge before them goes in, its edge
 * after them must come out, and behind the last part the root that the signed manifest names.
 *
 * @returns what does not fit; undefined: all of it does
 */
export async function rowsProblem(
  rows: PartRows,
  { formula, before, after, root }: RowProof,
): Promise<string | undefined> {
  const reader = new RowReader(formula, before);
  const { twinProblem } = await reader.read(rows);
  if (twinProblem !== undefined) return twinProblem;
  const { size, edge } = reader.state;
  if (size !== after.size || edge.join() !== after.edge.join())
    return "its rows do not give the tree that was recorded";
  if (root !== undefined && reader.root() !== root)
    return "the root of its rows is not the one that the manifest names";
  return undefined;
}
