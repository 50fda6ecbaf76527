import type { CollectedFile } from "./files.ts";

const BLOCK = 512;
const NAME_MAX = 100;

/**
 * A POSIX ustar archive, piece by piece. The same files and time give the same bytes.
 *
 * @throws Error for a name longer than 100 bytes
 */
export function* tar(files: Iterable<CollectedFile>, at: Date): Generator<Buffer> {
  for (const { name, content } of files) {
    yield header(name, content.length, at);
    yield content;
    const rest = content.length % BLOCK;
    if (rest > 0) yield Buffer.alloc(BLOCK - rest);
  }
  yield Buffer.alloc(2 * BLOCK);
}

function header(name: string, size: number, at: Date): Buffer {
  if (Buffer.byteLength(name) > NAME_MAX) throw new Error(`${name} is too long a name for tar`);
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0);
  block.write(octal(0o600, 8), 100);
  block.write(octal(0, 8), 108); // owner
  block.write(octal(0, 8), 116); // group
  block.write(octal(size, 12), 124);
  block.write(octal(Math.floor(at.getTime() / 1000), 12), 136);
  block.write(" ".repeat(8), 148); // the sum is taken with blanks in its own place
  block.write("0", 156); // a regular file
  block.write("ustar\0", 257);
  block.write("00", 263);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, "0")}\0`;
}
