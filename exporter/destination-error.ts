import { hasCode } from "../lib/error.ts";

/** A destination did not take the file. The export stays open and its next run tries again. */
export class DestinationError extends Error {
  override readonly name = "DestinationError";
  readonly destination: string;

  constructor(destination: string, message: string, options?: ErrorOptions) {
    super(`${destination}: ${message}`, options);
    this.destination = destination;
  }
}

/** Whether it said no (locked, held, forbidden), and will say so again until somebody changes something. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof DestinationError)) return false;
  const { cause } = error;
  if (hasCode(cause, "EACCES", "EPERM", "EROFS")) return true;
  return typeof cause === "object" && cause !== null && "kind" in cause && cause.kind === "refused";
}

/** The name is taken by bytes that no attempt of this export built. Never overwritten: a person must look. */
export function nameTaken(destination: string, location: string): DestinationError {
  return new DestinationError(
    destination,
    `${location} exists already with other content; move it away, and the next run goes on`,
  );
}
