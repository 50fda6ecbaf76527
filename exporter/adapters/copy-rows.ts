import { Readable, type Duplex } from "node:stream";
import type { Connection } from "pg";
import { collectBuffers } from "../collect-buffers.ts";
import { moveRow } from "../move-row.ts";
import type { RowBatch } from "../types.ts";

/** 320 KiB: with 64 KiB the hashes and ciphers behind it are up to twice as slow (measured). */
const BUFFER_BYTES = 320 * 1024;
/** Batches that wait for whoever reads them. */
const AHEAD = 4;

/** A message's code and its length, which counts itself (PostgreSQL, "Message Formats"). */
const HEAD_BYTES = 5;
const LENGTH_BYTES = 4;
const COPY_DATA = 0x64;
/** CopyOutResponse and CopyDone, and what a server may say at any time: notices, settings, notifications. */
const PASSED_OVER: ReadonlySet<number> = new Set(Buffer.from("HcNSA"));

type Take = (chunk: Buffer) => void;

/**
 * A query for `client.query(…)`: the rows of a `COPY … TO STDOUT` in CSV, as a stream of {@link RowBatch}. A server sends each row
 * as one message (PostgreSQL, "Message Formats", CopyData), so their ends need not be looked for; and as each is moved anyway, to
 * close the gap that its message's head leaves, its time gets the form of RFC 3339 on the way.
 */
export class CopyRows extends Readable {
  readonly #text: string;
  #socket: Duplex | undefined;
  #giveBack: Take = () => undefined;
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** How far the buffer is filled, how far its messages have been taken, and how far it holds rows. */
  #filled = 0;
  #taken = 0;
  #written = 0;
  #ends: number[] = [];
  readonly #collect = collectBuffers();
  /** What the server says that it has sent, at the end. */
  rowCount = 0;
  /** The driver arms a timer of so many milliseconds for a COPY too, but only its `callback` disarms it. */
  readonly query_timeout: number;
  callback: (() => void) | undefined;

  constructor(text: string, timeoutMs: number) {
    super({ objectMode: true, highWaterMark: AHEAD });
    this.#text = text;
    this.query_timeout = timeoutMs;
    this.on("error", () => undefined); // told to whoever reads; until somebody does it is nobody's
  }

  /** Called by the driver: takes the socket over until what comes is no longer of the COPY. */
  submit(connection: Connection): void {
    const { stream: socket } = connection;
    const [theirs, ...others] = socket.listeners("data") as Take[];
    if (theirs === undefined || others.length > 0) throw new Error("not the driver's socket");
    const ours: Take = (chunk) => {
      this.#take(chunk);
    };
    this.#giveBack = (rest) => {
      socket.off("data", ours).on("data", theirs).resume();
      theirs(rest);
    };
    this.#socket = socket.off("data", theirs).on("data", ours);
    connection.query(this.#text);
  }

  handleError(error: Error): void {
    this.destroy(error);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.rowCount = Number(/^COPY (\d+)$/.exec(text)?.[1] ?? 0);
  }

  handleReadyForQuery(): void {
    // The stream has ended before.
  }

  override _read(): void {
    this.#socket?.resume();
  }

  /**
   * A COPY that nobody reads to its end blocks the server in its send, deaf to the farewell that the driver would write: it
   * would hold its locks for ever. Only closing the socket under it helps; the pool then drops the connection.
   */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket?.destroy();
    this.callback?.();
    done(error);
  }

  #take(chunk: Buffer): void {
    if (this.#filled + chunk.length > this.#buffer.length) this.#renew(chunk.length);
    chunk.copy(this.#buffer, this.#filled);
    this.#filled += chunk.length;
    if (!this.#takeMessages()) return;
    this.#hand();
    this.#socket = undefined;
    // A copy, since the driver keeps what it cannot read yet, and the rows' memory is given away. An error in it destroys this stream.
    this.#giveBack(Buffer.from(this.#buffer.subarray(this.#taken, this.#filled)));
    this.push(null);
  }

  /** Takes the messages that are there as a whole. True when one is not of the COPY. */
  #takeMessages(): boolean {
    const buffer = this.#buffer;
    for (;;) {
      const start = this.#taken + HEAD_BYTES;
      if (start > this.#filled) return false;
      const end = start - LENGTH_BYTES + buffer.readUInt32BE(start - LENGTH_BYTES);
      const code = buffer[this.#taken] ?? 0;
      if (code !== COPY_DATA && !PASSED_OVER.has(code)) return true;
      if (end > this.#filled) return false;
      if (code === COPY_DATA) {
        this.#written = moveRow(buffer, start, end, this.#written);
        this.#ends.push(this.#written);
      }
      this.#taken = end;
    }
  }

  /** Hands over the rows that are there, and goes on in a buffer with room for the rest and `more`. */
  #renew(more: number): void {
    const rest = this.#buffer.subarray(this.#taken, this.#filled);
    this.#hand();
    // At least as much again: so a huge row costs linear time.
    const size = Math.max(BUFFER_BYTES, 2 * rest.length, rest.length + more);
    this.#buffer = Buffer.allocUnsafeSlow(size);
    this.#filled = rest.copy(this.#buffer);
    this.#taken = 0;
    this.#written = 0;
  }

  #hand(): void {
    const ends = this.#ends;
    if (ends.length === 0) return;
    const batch: RowBatch = { csv: this.#buffer.subarray(0, this.#written), ends };
    this.#ends = [];
    this.#collect(this.#written);
    if (!this.push(batch)) this.#socket?.pause();
  }
}
