/**
 * Hands out stretches of one buffer. A typed array of its own costs about 100 bytes beside its numbers, and a series has a
 * hundred columns: they keep the index where theirs begins instead. All that changes is in the buffer, so that one set of
 * columns serves any number of buffers of the same layout, one after the other.
 */
export class Arena {
  doubles: Float64Array;
  floats: Float32Array;
  integers: Uint32Array;
  shorts: Uint16Array;
  private used = 0;

  /** `bytes` is all that will be asked for, a multiple of 8. */
  constructor(bytes: number) {
    const buffer = new ArrayBuffer(bytes);
    this.doubles = new Float64Array(buffer);
    this.floats = new Float32Array(buffer);
    this.integers = new Uint32Array(buffer);
    this.shorts = new Uint16Array(buffer);
  }

  /**
   * From now on all who were given a stretch read and write these numbers. The views are made anew: a series that kept its
   * own would keep 400 bytes for them.
   */
  use(buffer: ArrayBuffer): void {
    this.doubles = new Float64Array(buffer);
    this.floats = new Float32Array(buffer);
    this.integers = new Uint32Array(buffer);
    this.shorts = new Uint16Array(buffer);
  }

  /** Bytes that nobody asked for yet. */
  get left(): number {
    return this.doubles.byteLength - this.used;
  }

  /** @returns the index in `doubles` of the first of `count` zeros */
  takeDoubles(count: number): number {
    return this.take(8 * count) / 8;
  }

  /** @returns the index in `floats` of the first of `count` zeros */
  takeFloats(count: number): number {
    return this.take(4 * count) / 4;
  }

  /** @returns the index in `integers` of the first of `count` zeros */
  takeIntegers(count: number): number {
    return this.take(4 * count) / 4;
  }

  /** @returns the index in `shorts` of the first of `count` zeros */
  takeShorts(count: number): number {
    return this.take(2 * count) / 2;
  }

  private take(bytes: number): number {
    const offset = this.used;
    this.used += Math.ceil(bytes / 8) * 8;
    if (this.left < 0) throw new Error(`the arena is ${-this.left} bytes too small`);
    return offset;
  }
}
