import { parentPort, workerData } from "node:worker_threads";
import { MerkleTree } from "../lib/merkle.ts";
import { collectBuffers } from "./collect-buffers.ts";
import { LeafEncoder } from "./leaf.ts";
import { PartSplitter } from "./parts.ts";
import type { RowJob, RowNews } from "./row-job.ts";

// A thread of its own: cuts CSV into parts and puts each row into the Merkle tree, which takes longer than all other stages
// together. See WorkerRows, which feeds it: chunks of CSV, and null behind the last.

const { partBytes, formula, before } = workerData as RowJob;
const waiting: (Uint8Array | null)[] = [];
let wake = (): void => undefined;
const collect = collectBuffers();

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
      collect(next.length);
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
const splitter = new PartSplitter(chunks(), { partBytes, rows });
do {
  for await (const piece of splitter.part()) {
    // A copy, where giving the piece away would take along what is needed here.
    const given = splitter.isLetGo
      ? new Uint8Array(piece.buffer as ArrayBuffer, piece.byteOffset, piece.length)
      : new Uint8Array(piece);
    tell({ piece: given, rowsRead: splitter.rowsRead });
  }
  tell({ ended: splitter.summary, tree: tree.state });
} while (!splitter.summary.isLast);
parentPort?.close();
