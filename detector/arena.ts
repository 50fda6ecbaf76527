/**
 * Hands out columns of one buffer. An ArrayBuffer of its own costs about 300 bytes beside its numbers, and a series has
 * fifty columns. What does not fit any more gets a buffer of its own.
 */
export class Arena {
  private readonly buffer: ArrayBuffer;
  private used = 0;

  /** `bytes` is what will be asked for, a multiple of 8. */
  constructor(bytes: number) {
    this.buffer = new ArrayBuffer(bytes);
  }

  float64(count: number): Float64Array {
    const [buffer, offset] = this.take(8 * count);
    return new Float64Array(buffer, offset, count);
  }

  float32(count: number): Float32Array {
    const [buffer, offset] = this.take(4 * count);
    return new Float32Array(buffer, offset, count);
  }

  uint32(count: number): Uint32Array {
    const [buffer, offset] = this.take(4 * count);
    return new Uint32Array(buffer, offset, count);
  }

  private take(bytes: number): readonly [ArrayBuffer, number] {
    const offset = this.used;
    const end = offset + Math.ceil(bytes / 8) * 8;
    if (end > this.buffer.byteLength) return [new ArrayBuffer(bytes), 0];
    this.used = end;
    return [this.buffer, offset];
  }
}
