import { createHash, type Hash } from "node:crypto";

/** SHA-256 of each part as it will be cut: of an object in parts the store tells the hash of their hashes. */
export class PartHashes {
  readonly #partBytes: number;
  readonly #done: Buffer[] = [];
  #hash: Hash = createHash("sha256");
  #filled = 0;

  constructor(partBytes: number) {
    this.#partBytes = partBytes;
  }

  add(piece: Buffer): void {
    for (let rest = piece; rest.length > 0;) {
      const taken = rest.subarray(0, this.#partBytes - this.#filled);
      this.#hash.update(taken);
      this.#filled += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#filled === this.#partBytes) this.#close();
    }
  }

  /** @returns undefined when the store told none */
  matches(theirs: string | undefined, sha256: string): boolean | undefined {
    if (theirs === undefined) return undefined;
    const [value, parts] = theirs.split("-");
    if (parts === undefined) return value === Buffer.from(sha256, "hex").toString("base64");
    if (this.#filled > 0) this.#close();
    const all = createHash("sha256").update(Buffer.concat(this.#done)).digest("base64");
    return value === all && Number(parts) === this.#done.length;
  }

  #close(): void {
    this.#done.push(this.#hash.digest());
    this.#hash = createHash("sha256");
    this.#filled = 0;
  }
}
