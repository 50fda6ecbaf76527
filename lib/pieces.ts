/** Hands a stream out in pieces of a given size, without keeping more than one chunk. */
export class Pieces {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer | undefined;

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async hasMore(): Promise<boolean> {
    while (this.#rest === undefined || this.#rest.length === 0) {
      const { done, value } = (await this.#chunks.next()) as IteratorResult<Buffer, undefined>;
      if (done === true) return false;
      this.#rest = value;
    }
    return true;
  }

  /** Nobody wants the rest. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async *take(bytes: number): AsyncGenerator<Buffer> {
    let left = bytes;
    while (left > 0 && (await this.hasMore())) {
      const chunk = this.#rest ?? Buffer.alloc(0);
      this.#rest = chunk.subarray(left);
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      yield piece;
    }
  }
}
