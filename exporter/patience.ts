/** More than a busy machine needs for what it has read already. */
const PATIENCE_MS = 10_000;

/** Waits for somebody who has been given everything, and may never answer. */
export class Patience {
  readonly #refusal: () => Error;
  #isAllGiven = false;
  #giveUp: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param refusal what a wait that was too long ends with */
  constructor(refusal: () => Error) {
    this.#refusal = refusal;
  }

  /** From now on there is nothing left to wait for. */
  allGiven(): void {
    this.#isAllGiven = true;
    this.#start();
  }

  /** One at a time. */
  async for<T>(work: Promise<T>): Promise<T> {
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#giveUp = () => {
          reject(this.#refusal());
        };
        this.#start();
        work.then(resolve, reject);
      });
    } finally {
      clearTimeout(this.#timer);
      this.#giveUp = undefined;
    }
  }

  #start(): void {
    if (this.#isAllGiven && this.#giveUp !== undefined)
      this.#timer = setTimeout(this.#giveUp, PATIENCE_MS);
  }
}
