import { HttpProblem } from "../../lib/problem.ts";

/** A strong entity tag of a row's version number. */
export function etagOf(version: number | string): string {
  return `"${version}"`;
}

/** @throws HttpProblem 412 when `If-Match` is there and names another version (RFC 9110, 13.1.1) */
export function checkIfMatch(header: string | undefined, etag: string): void {
  if (header === undefined || header.trim() === "*") return;
  const wanted = header.split(",").map((each) => each.trim());
  if (wanted.includes(etag)) return; // a weak tag never matches
  const detail = `It is at version ${etag} now: read it again, and decide again.`;
  throw new HttpProblem(412, "Precondition failed", detail, { ETag: etag });
}
