import type { Secret } from "../../lib/secret.ts";

/** The problem of a secret that can be guessed; never with its value. */
export function tooShort(
  name: string,
  value: Secret | undefined,
  length: number,
): readonly string[] {
  if (value === undefined || value.reveal().length >= length) return [];
  return [`${name}: must have at least ${length} characters`];
}
