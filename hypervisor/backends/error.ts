import type { Ability } from "./abilities.ts";

/**
 * - `not_found`: the container, snapshot, … is not there
 * - `conflict`: the name is taken, it is in use, or in a state in which it cannot be done
 * - `busy`: the backend does something else to it now; later it may work
 * - `changed`: it is not what the caller looked at
 * - `invalid`: it would never work
 * - `unsupported`: this backend cannot do it
 * - `unavailable`: the backend does not answer, or not sensibly
 * - `timeout`: the deadline passed; it may still happen
 */
export type BackendErrorKind =
  | "not_found"
  | "conflict"
  | "busy"
  | "changed"
  | "invalid"
  | "unsupported"
  | "unavailable"
  | "timeout";

/** Why a backend did not do what was asked. The message is for the caller: it names the backend and holds no secret. */
export class BackendError extends Error {
  override readonly name = "BackendError";
  readonly kind: BackendErrorKind;

  constructor(kind: BackendErrorKind, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.kind = kind;
  }
}

/** For what a backend cannot do. */
export function unsupported(backend: string, what: Ability): BackendError {
  return new BackendError("unsupported", `the ${backend} backend cannot ${what}`);
}
