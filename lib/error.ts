/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  // Error.isError also knows the errors of another realm, as Node's own modules' are inside Jest and worker contexts.
  return Error.isError(error) ? error.message : String(error);
}

/** Node's or PostgreSQL's code of an error (`ECONNREFUSED`, `23505`), or "" when it has none. */
export function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" || typeof error.code === "number" ? String(error.code) : "";
}

/** Whether an error carries one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(codeOf(error));
}
