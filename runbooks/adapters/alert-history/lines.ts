import type { FileHandle } from "node:fs/promises";

/** A webhook of 5,000 alerts is some 5 MB; a file without line ends must not fill the memory. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
/** Rows that are out of order are read one by one; a line is seldom longer. */
const SINGLE_BYTES = 4 * 1024;
const NEW_LINE = 0x0a;

export class LineTooLong extends Error {}

export interface Line {
  /** From 1. */
  readonly number: number;
  /** In bytes from the begin of the file: for {@link LineReader}. */
  readonly offset: number;
  readonly text: string;
}

/**
 * The lines of a file with the places where they begin, in portions. One buffer is filled again and again: fresh ones are
 * only given back when the heap is collected, which took 300 MB for a file of 240 (measured).
 *
 * @throws LineTooLong
 */
export async function* linesOf(file: FileHandle): AsyncGenerator<readonly Line[]> {
  let buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /** Bytes of a line whose end has not been read yet, at the begin of the buffer. */
  let held = 0;
  let [offset, number] = [0, 0];
  for (;;) {
    if (held === buffer.length) {
      if (held >= LINE_BYTES_MAX)
        throw new LineTooLong(`line ${number + 1} is longer than ${LINE_BYTES_MAX} bytes`);
      buffer = Buffer.concat([buffer], buffer.length * 4);
    }
    const { bytesRead } = await file.read(buffer, held, buffer.length - held, offset + held);
    const filled = held + bytesRead;
    const lines: Line[] = [];
    let start = 0;
    for (let end = endOf(buffer, start, filled); end >= 0; end = endOf(buffer, start, filled)) {
      number += 1;
      lines.push({ number, offset: offset + start, text: buffer.toString("utf8", start, end) });
      start = end + 1;
    }
    if (bytesRead === 0 && filled > 0)
      lines.push({ number: number + 1, offset, text: buffer.toString("utf8", 0, filled) });
    if (lines.length > 0) yield lines;
    if (bytesRead === 0) return;
    buffer.copyWithin(0, start, filled);
    held = filled - start;
    offset += start;
  }
}

function endOf(buffer: Buffer, start: number, filled: number): number {
  const end = buffer.indexOf(NEW_LINE, start);
  return end < filled ? end : -1;
}

/** Reads single lines again: fast when they follow each other. */
export class LineReader {
  readonly #file: FileHandle;
  #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #begin = 0;
  #filled = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** A text when it is in memory already, which it nearly always is. */
  read(offset: number): string | Promise<string> {
    return this.#inBuffer(offset) ?? this.#fetch(offset);
  }

  #inBuffer(offset: number): string | undefined {
    const start = offset - this.#begin;
    if (start < 0 || start >= this.#filled) return undefined;
    const end = endOf(this.#buffer, start, this.#filled);
    return end < 0 ? undefined : this.#buffer.toString("utf8", start, end);
  }

  async #fetch(offset: number): Promise<string> {
    const follows = offset >= this.#begin && offset <= this.#begin + this.#filled;
    for (let size = follows ? READ_BYTES : SINGLE_BYTES; ; size *= 4) {
      if (size > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(size);
      const { bytesRead } = await this.#file.read(this.#buffer, 0, size, offset);
      this.#begin = offset;
      this.#filled = bytesRead;
      const text = this.#inBuffer(offset);
      if (text !== undefined) return text;
      if (bytesRead < size) return this.#buffer.toString("utf8", 0, bytesRead); // the last line has no end
    }
  }
}
