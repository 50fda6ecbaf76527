/**
 * Whether an error carries one of these codes (`ENOENT`, an SQLSTATE, …). Looks at the value and not at its class, because
 * the errors of Node's own modules belong to another realm inside Jest and in worker contexts.
 */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    codes.includes(String(error.code))
  );
}
