import { open } from "node:fs/promises";

/** Where the ciphertext's base64 text stands in the file, and everything around it. */
export interface ScannedEnvelope {
  /** The JSON with an empty ciphertext, parsed. Nothing in it is authenticated. */
  readonly head: unknown;
  /** Byte offsets of the base64 text: [start, end). */
  readonly start: number;
  readonly end: number;
}

/** The file is not an envelope, or is damaged; the message says which. */
export class EnvelopeError extends Error {
  override readonly name = "EnvelopeError";
}

const CHUNK_BYTES = 256 * 1024;
/** Names and a few wrapped keys; more is an attack on our memory. */
const HEAD_BYTES_MAX = 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPENING = new Set([0x7b, 0x5b]); // { [
const CLOSING = new Set([0x7d, 0x5d]); // } ]
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Finds the ciphertext in one pass and constant memory. Any member order, indentation and escaped names are read, as other
 * writers make them.
 *
 * @throws EnvelopeError
 */
export async function scanEnvelope(path: string): Promise<ScannedEnvelope> {
  const file = await open(path, "r");
  const scanner = new Scanner();
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let offset = 0; ;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, offset);
      if (bytesRead === 0) return scanner.finish();
      scanner.scan(chunk.subarray(0, bytesRead), offset);
      offset += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** A JSON reader that understands only strings and nesting; JSON.parse judges the rest once the ciphertext is cut out. */
class Scanner {
  readonly #head: number[] = [];
  #depth = 0;
  #text: "none" | "string" | "ciphertext" = "none";
  #escaped = false;
  #stringStart = 0;
  /** The string read last at depth 1, raw: a member's name if a colon follows. */
  #lastString = "";
  #afterCiphertextColon = false;
  #start = -1;
  #end = -1;

  scan(chunk: Buffer, offset: number): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#text === "ciphertext") at = this.#skipCiphertext(chunk, at, offset);
      else this.#readHeadByte(chunk[at] ?? 0, offset + at++);
    }
  }

  #skipCiphertext(chunk: Buffer, at: number, offset: number): number {
    const quote = chunk.indexOf(QUOTE, at);
    const end = quote < 0 ? chunk.length : quote;
    if (chunk.subarray(at, end).includes(BACKSLASH)) {
      throw new EnvelopeError("the ciphertext holds an escape, which base64 never needs");
    }
    if (quote < 0) return end;
    this.#end = offset + quote;
    this.#text = "none";
    this.#head.push(QUOTE);
    return quote + 1;
  }

  #readHeadByte(byte: number, position: number): void {
    if (this.#head.length >= HEAD_BYTES_MAX) {
      throw new EnvelopeError(
        `not an envelope: more than ${HEAD_BYTES_MAX} bytes beside the ciphertext`,
      );
    }
    this.#head.push(byte);
    if (this.#text === "string") this.#readStringByte(byte);
    else this.#readStructureByte(byte, position);
  }

  #readStringByte(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) {
      this.#text = "none";
      this.#lastString = Buffer.from(this.#head.slice(this.#stringStart)).toString("utf8");
    }
  }

  #readStructureByte(byte: number, position: number): void {
    if (SPACE.has(byte)) return;
    if (byte === QUOTE) {
      this.#openString(position);
    } else if (byte === COLON) {
      this.#afterCiphertextColon = this.#depth === 1 && namesCiphertext(this.#lastString);
      return;
    } else if (OPENING.has(byte)) this.#depth += 1;
    else if (CLOSING.has(byte)) this.#depth -= 1;
    this.#afterCiphertextColon = false;
  }

  #openString(position: number): void {
    if (!this.#afterCiphertextColon) {
      this.#text = "string";
      this.#stringStart = this.#head.length - 1;
      return;
    }
    if (this.#start >= 0) throw new EnvelopeError("the envelope has two ciphertexts");
    this.#text = "ciphertext";
    this.#start = position + 1;
  }

  finish(): ScannedEnvelope {
    if (this.#start >= 0 && this.#end < 0) {
      throw new EnvelopeError("the envelope is truncated: its ciphertext does not end");
    }
    const head = this.#parseHead();
    if (this.#start < 0) throw new EnvelopeError("not an envelope: it has no ciphertext");
    return { head, start: this.#start, end: this.#end };
  }

  #parseHead(): unknown {
    try {
      return JSON.parse(Buffer.from(this.#head).toString("utf8"));
    } catch (cause) {
      const problem = this.#start < 0 ? "not an envelope" : "the envelope is truncated or edited";
      throw new EnvelopeError(`${problem}: it is not valid JSON`, { cause });
    }
  }
}

/** Names may be written with escapes: "cipher\u0074ext" is the same member. */
function namesCiphertext(rawString: string): boolean {
  try {
    return JSON.parse(rawString) === "ciphertext";
  } catch {
    return false;
  }
}
