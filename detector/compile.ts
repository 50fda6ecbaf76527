import type { TreeNode } from "ml-isolation-forest";
import { averagePathLength, type Forest } from "./forest.ts";

/** Trained trees of the library → flat arrays. The library's leaves keep their training rows (37 MB as JSON); ours keep one number. */
export function compileTrees(
  trees: readonly TreeNode[],
  sampleSize: number,
  width: number,
): Forest {
  const columns: number[] = [];
  const values: number[] = [];
  const rights: number[] = [];

  function add(node: TreeNode, depth: number): void {
    const at = columns.length;
    if (node.left === undefined || node.right === undefined) {
      columns.push(-1);
      values.push(depth + averagePathLength(node.trainingSet?.length ?? 0));
      rights.push(-1);
      return;
    }
    columns.push(node.splitColumn ?? 0);
    values.push(node.splitValue ?? 0);
    rights.push(0);
    add(node.left, depth + 1);
    rights[at] = columns.length;
    add(node.right, depth + 1);
  }

  const roots = trees.map((tree) => {
    const root = columns.length;
    add(tree, 0);
    return root;
  });
  return {
    columns: Int8Array.from(columns),
    values: Float64Array.from(values),
    rights: Int32Array.from(rights),
    roots: Int32Array.from(roots),
    sampleSize,
    width,
  };
}
