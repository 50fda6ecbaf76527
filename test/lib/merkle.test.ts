import { createHash } from "node:crypto";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { MerkleTree } from "../../lib/merkle.ts";

/** The definition of RFC 6962 §2.1, word by word. */
function rootOf(leaves: readonly Buffer[]): Buffer {
  const sha256 = (...parts: Buffer[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
  const [first] = leaves;
  if (first === undefined) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), first);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

function treeOf(leaves: readonly Buffer[]): MerkleTree {
  const tree = new MerkleTree();
  for (const leaf of leaves) tree.append(leaf);
  return tree;
}

test("the right edge gives the root of the recursive definition for every size up to 300", () => {
  const tree = new MerkleTree();
  const leaves: Buffer[] = [];
  for (let size = 0; size <= 300; size++) {
    expect([size, tree.size, tree.root().toString("hex")]).toEqual([
      size,
      size,
      rootOf(leaves).toString("hex"),
    ]);
    const leaf = Buffer.from(`leaf ${size}`);
    tree.append(leaf);
    leaves.push(leaf);
  }
});

test("the test vectors of Certificate Transparency come out", () => {
  const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"].map((hex) =>
    Buffer.from(hex, "hex"),
  );
  const eight = [...leaves, Buffer.from("606162636465666768696a6b6c6d6e6f", "hex")];

  expect(treeOf([]).root().toString("hex")).toBe(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
  expect(treeOf(leaves.slice(0, 1)).root().toString("hex")).toBe(
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  );
  expect(treeOf(eight).root().toString("hex")).toBe(
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  );
});

test("a tree goes on from another one's state, and refuses a state that cannot be", () => {
  const leaves = fc.array(
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    {
      maxLength: 40,
    },
  );
  fc.assert(
    fc.property(leaves, leaves, (before, after) => {
      const resumed = new MerkleTree(treeOf(before).state);
      for (const leaf of after) resumed.append(leaf);
      expect(resumed.root()).toEqual(rootOf([...before, ...after]));
    }),
  );
  expect(() => new MerkleTree({ size: 3, edge: [] })).toThrow("3 leaves");
});
