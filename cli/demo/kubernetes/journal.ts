import { appendFileSync } from "node:fs";
import type { LoggedRequest } from "./types.ts";

/**
 * The request log: the truth for "nothing was done twice". A line is on disk before its answer leaves, so that a
 * client which is killed on receiving the answer cannot have got one that the log does not know.
 */
export class Journal {
  readonly #requests: LoggedRequest[] = [];
  readonly #file: string | undefined;

  constructor(file: string | undefined) {
    this.#file = file;
  }

  get requests(): readonly LoggedRequest[] {
    return this.#requests;
  }

  write(request: LoggedRequest): void {
    this.#requests.push(request);
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(request)}\n`);
  }
}
