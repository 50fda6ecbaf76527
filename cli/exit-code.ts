import { ConfigError } from "../lib/config.ts";
import { isUnavailable } from "../lib/postgres.ts";

/** What a script may rely on. */
export const EXIT = { ok: 0, error: 1, usage: 2, refused: 3, notFound: 4, unavailable: 5 } as const;

/** An end that is not a success and needs no stack: its text is for the person, its code for the script. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandFailure) return error.code;
  if (error instanceof ConfigError) return EXIT.usage;
  return isUnavailable(error) || saysUnavailable(error) ? EXIT.unavailable : EXIT.error;
}

/** A service's own faults name their kind; the command line knows no service's classes. */
function saysUnavailable(error: unknown): boolean {
  return Error.isError(error) && "kind" in error && error.kind === "unavailable";
}
