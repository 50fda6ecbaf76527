import type { IncomingHttpHeaders } from "node:http";
import { isLoopbackHost } from "../../lib/loopback.ts";

/** A browser's session, and what its forms carry against forgery. */
export type CookieName = "fettle-session" | "fettle-form";

/**
 * Browsers keep a cookie of this prefix to one host, over TLS. Without TLS there are only loopback addresses, whose
 * cookies have neither: some browsers take no `Secure` cookie there.
 */
const PREFIX = "__Host-";

/** @param maxAgeSeconds 0 takes the cookie away; undefined: until the browser ends */
export function cookieLine(
  name: CookieName,
  value: string,
  options: {
    readonly host: string | undefined;
    readonly sameSite: "Lax" | "Strict";
    readonly maxAgeSeconds?: number;
  },
): string {
  const { host, sameSite, maxAgeSeconds } = options;
  const age = maxAgeSeconds === undefined ? "" : `; Max-Age=${maxAgeSeconds}`;
  const secure = isLoopback(host) ? "" : "; Secure";
  return `${fullName(name, host)}=${value}; Path=/; HttpOnly; SameSite=${sameSite}${secure}${age}`;
}

/** A cookie of ours. One without the prefix counts on loopback only: elsewhere a neighbouring host could have set it. */
export function readCookie(
  { cookie, host }: Pick<IncomingHttpHeaders, "cookie" | "host">,
  name: CookieName,
): string | undefined {
  const start = `${fullName(name, host)}=`;
  const found = cookie
    ?.split(";")
    .map((part) => part.trim())
    .filter((part) => part.startsWith(start));
  // Two of one name: nobody knows which of them is ours.
  const [value] = found?.length === 1 ? found : [];
  return value === undefined ? undefined : /^[\w-]{1,128}$/.exec(value.slice(start.length))?.[0];
}

function fullName(name: CookieName, host: string | undefined): string {
  return isLoopback(host) ? name : `${PREFIX}${name}`;
}

function isLoopback(host = ""): boolean {
  return isLoopbackHost(host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1"));
}

/**
 * Browsers send cookies by themselves, so another site's page must not make them ask in somebody's name. Following a
 * link is all that may come from elsewhere.
 */
export function isOfOwnPage(method: string, headers: IncomingHttpHeaders): boolean {
  const site = headers["sec-fetch-site"];
  const safe = method === "GET" || method === "HEAD";
  if (site === undefined) return safe || isOfOwnOrigin(headers);
  return isOwn(site) || (safe && headers["sec-fetch-mode"] === "navigate");
}

/** Browsers always say where a WebSocket comes from. */
export function isOfOwnOrigin({ origin, host }: IncomingHttpHeaders): boolean {
  return (
    origin !== undefined &&
    host !== undefined &&
    URL.canParse(origin) &&
    new URL(origin).host === host
  );
}

function isOwn(site: string | readonly string[]): boolean {
  return site === "same-origin" || site === "none";
}
