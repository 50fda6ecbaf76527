import { HttpProblem } from "../../lib/problem.ts";

const ADDRESS_CHARACTERS_MAX = 8_192;

export interface Address {
  /** With its slash, without the query: as it was sent, and as it is passed on. */
  readonly path: string;
  /** The same with its escapes undone: what a server makes of it, and so what is judged. */
  readonly meant: string;
  /** With its question mark, or empty. */
  readonly query: string;
}

/**
 * The part of a request's address below the prefix, exactly as it was sent. What two programs may read differently is
 * refused: the path that is judged must be the path that is served.
 *
 * @param target the request line's own words (`request.url`)
 * @throws HttpProblem 400
 */
export function addressBelow(prefix: string, target: string): Address {
  const fault = faultOf(prefix, target);
  if (fault !== undefined) throw refused(fault);
  const below = target.slice(prefix.length);
  const mark = below.indexOf("?");
  const path = mark === -1 ? below : below.slice(0, mark);
  if (/[\\#]|%(?:2f|5c|00|25|23|3f|0a|0d)/i.test(path))
    throw refused("The path must not have packed slashes, percent signs or other separators.");
  if (path.slice(1).split("/").some(leads)) throw refused("The path must not lead upwards.");
  const meant = unescaped(path);
  if (meant === undefined) throw refused("The path has escapes that are none.");
  return { path: path || "/", meant: meant || "/", query: mark === -1 ? "" : below.slice(mark) };
}

function refused(detail: string): HttpProblem {
  return new HttpProblem(400, "Bad request", detail);
}

function faultOf(prefix: string, target: string): string | undefined {
  if (target.length > ADDRESS_CHARACTERS_MAX) return "The address is too long.";
  // Also `http://elsewhere/` (absolute form), `//elsewhere` and `*`.
  const next = target.startsWith(prefix) ? (target[prefix.length] ?? "/") : "";
  if (next !== "/" && next !== "?") return `The address must begin with ${prefix}/.`;
  return /^[\x21-\x7e]*$/.test(target)
    ? undefined
    : "The address has characters that it may not have.";
}

function unescaped(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** `.` and `..` in all their spellings, also with the parameters that some servers cut off. */
function leads(segment: string): boolean {
  return /^(?:\.|%2e){1,2}(?:;.*)?$/i.test(segment);
}
