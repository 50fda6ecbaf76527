import { Readable } from "node:stream";

const BLOCK_BYTES = 512;
/** A POSIX tar ends with two empty blocks. */
const END = Buffer.alloc(2 * BLOCK_BYTES);
/** Where the checksum stands; while it is worked out it counts as blanks. */
const SUM = { at: 148, bytes: 8 } as const;

/** A small tar (POSIX ustar) of these files, in pieces as an engine would send them. */
export function tarOf(files: Readonly<Record<string, string>>): Readable {
  const entries = Object.entries(files).flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const padding = Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
    return [headerOf(path.replace(/^\/+/, ""), content.length), content, padding];
  });
  return Readable.from([...entries, END].filter(({ length }) => length > 0));
}

function headerOf(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name.slice(0, 100), 0);
  header.write("0000644\0", 100);
  header.write("0000000\0".repeat(2), 108); // owner and group
  header.write(`${octal(size)}\0${octal(0)}\0`, 124); // size, time
  header.fill(" ", SUM.at, SUM.at + SUM.bytes);
  header.write("0", 156); // a plain file
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, SUM.at);
  return header;
}

function octal(value: number): string {
  return value.toString(8).padStart(11, "0");
}
