import { Worker } from "node:worker_threads";
import type { MerkleState } from "../lib/merkle.ts";
import type { PartSummary } from "./parts.ts";
import type { RowJob, RowNews } from "./row-job.ts";

const CHUNK_BYTES = 256 * 1024;
/**
 * So much may wait before the thread and behind it: enough to keep both busy, and all that is held in memory, but for a row that
 * is larger.
 */
const AHEAD_BYTES = 8 * CHUNK_BYTES;
/** Megabytes; what a larger nursery would collect later it would hold until then. */
const NURSERY = 3;
const ROW_THREAD = new URL("row-thread.ts", import.meta.url);

type Handed = Exclude<RowNews, { readonly tookBytes: number }>;

/** What `PartSplitter` with a Merkle tree over the rows does, on a thread of its own. To be closed in any case. */
export class WorkerRows {
  readonly #csv: AsyncIterable<Uint8Array<ArrayBuffer>>;
  readonly #worker: Worker;
  readonly #news: Handed[] = [];
  #summary: PartSummary | undefined;
  #tree: MerkleState | undefined;
  #failure: unknown;
  /** Bytes that the thread has not taken yet, and pieces of its that nobody has fetched. */
  #waiting = 0;
  /** Of all parts so far. */
  rowsRead = 0;
  #changed = (): void => undefined;
  #roomMade = (): void => undefined;

  /** @param csv chunks whose memory is their own: it goes to the thread */
  constructor(csv: AsyncIterable<Uint8Array<ArrayBuffer>>, job: RowJob, thread = ROW_THREAD) {
    this.#csv = csv;
    this.#tree = job.before;
    this.#worker = new Worker(thread, {
      workerData: job,
      // It needs none of the program's hooks, and is to see none of its secrets.
      execArgv: [],
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: NURSERY },
    });
    this.#worker.on("message", (news: RowNews) => {
      this.#take(news);
    });
    const fail = (error: Error) => {
      this.#fail(error);
    };
    this.#worker.on("error", fail);
    this.#worker.on("messageerror", fail);
    // What it handed out before comes first.
    this.#worker.on("exit", (code) => {
      this.#fail(new Error(`the row thread ended (${code})`));
    });
    this.#feed().catch((error: unknown) => {
      this.#fail(error);
    });
  }

  /** What the part read last holds. */
  get summary(): PartSummary {
    if (this.#summary === undefined) throw new Error("no part has been read to its end");
    return this.#summary;
  }

  /** The tree over all rows up to the end of the part read last. */
  get tree(): MerkleState | undefined {
    return this.#tree;
  }

  /** The next part's bytes; to be read to the end before the next is begun. */
  async *part(): AsyncGenerator<Buffer, void, undefined> {
    this.#summary = undefined;
    for (;;) {
      const news = await this.#next();
      if ("ended" in news) {
        this.#summary = news.ended;
        this.#tree = news.tree;
        return;
      }
      const { buffer, byteOffset, byteLength } = news.piece;
      this.#waiting -= byteLength;
      this.rowsRead = news.rowsRead;
      this.#roomMade();
      yield Buffer.from(buffer, byteOffset, byteLength);
    }
  }

  /** @param reason what whoever waits for rows is told */
  async close(reason: Error = new Error("the rows are closed")): Promise<void> {
    this.#fail(reason);
    await this.#worker.terminate();
  }

  #take(news: RowNews): void {
    if ("tookBytes" in news) {
      this.#waiting -= news.tookBytes;
      this.#roomMade();
      return;
    }
    if ("piece" in news) this.#waiting += news.piece.byteLength;
    this.#news.push(news);
    this.#changed();
  }

  async #next(): Promise<Handed> {
    for (;;) {
      const news = this.#news.shift();
      if (news !== undefined) return news;
      if (this.#failure !== undefined) throw this.#failure as Error;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  async #feed(): Promise<void> {
    for await (const chunk of this.#csv) await this.#send(chunk);
    this.#worker.postMessage(null);
  }

  async #send({ buffer, byteOffset, length: bytes }: Uint8Array<ArrayBuffer>): Promise<void> {
    while (this.#waiting > AHEAD_BYTES && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#roomMade = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure as Error;
    this.#waiting += bytes;
    this.#worker.postMessage(new Uint8Array(buffer, byteOffset, bytes), [buffer]);
  }

  #fail(failure: unknown): void {
    this.#failure ??= failure;
    this.#changed();
    this.#roomMade();
  }
}
