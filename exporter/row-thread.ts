import { parentPort, workerData } from "node:worker_threads";
import { MerkleTree } from "../lib/merkle.ts";
import { LeafEncoder } from "./leaf.ts";
import { PartSplitter } from "./parts.ts";
import type { RowJob, RowNews } from "./row-job.ts";

// A thread of its own: cuts CSV into parts and puts each row into the Merkle tree, which takes longer than all other stages
// together. See WorkerRows, which feeds it: chunks of CSV, and null behind the last.

const { partBytes, formula, before } = workerData as RowJob;
const waiting: (Uint8Array | null)[] = [];
let wake = (): void => undefined;

parentPort?.on("message", (chunk: Uint8Array | null) => {
  waiting.push(chunk);
  wake();
});

async function* chunks(): AsyncGenerator<Uint8Array> {
  for (;;) {
    const next = waiting.shift();
    if (next === null) return;
    if (next !== undefined) {
      tell({ tookBytes: next.length });
      yield next;
    } else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}

function tell(news: RowNews): void {
  parentPort?.postMessage(news, "piece" in news ? [news.piece.buffer] : []);
}

const tree = new MerkleTree(before);
const rows = new LeafEncoder(formula, (marked) => {
  tree.appendMarked(marked);
});
const splitter = new PartSplitter(chunks(), { partBytes, rows, marksTimes: true });
do {
  // A copy, because the piece given away must not take the beginning of the next row along.
  for await (const piece of splitter.part()) {
    tell({ piece: new Uint8Array(piece), rowsRead: splitter.rowsRead });
  }
  tell({ ended: splitter.summary, tree: tree.state });
} while (!splitter.summary.isLast);
parentPort?.close();
