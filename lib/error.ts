import { types } from "node:util";

/** The text of whatever was thrown. `isNativeError` also knows errors of another realm (workers, test runners). */
export function messageOf(error: unknown): string {
  return types.isNativeError(error) ? error.message : String(error);
}

/** Node's and PostgreSQL's error code (`ECONNREFUSED`, `23505`), or "" when there is none. */
export function codeOf(error: unknown): string {
  if (!types.isNativeError(error) || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}
