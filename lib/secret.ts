import { inspect } from "node:util";

const REDACTED = "[redacted]";

/** A configured secret. It prints as "[redacted]" wherever it may end up; only `reveal()` gives the value. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}

/** The secret values in a configuration, for the log's redactor. Shallow, as configurations are flat. */
export function secretsOf(config: object): readonly Secret[] {
  return Object.values(config).filter((value): value is Secret => value instanceof Secret);
}
