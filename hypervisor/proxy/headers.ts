import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";

/** RFC 9110, 7.6.1: they are about one connection. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What a request brings that is ours, or would tell the server something in our name. */
const OURS: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "host",
  "origin",
  "referer",
  "forwarded",
  "via",
  "expect",
  "x-scope-orgid",
  "x-real-ip",
  "x-id-token",
  "x-jwt-assertion",
  "idempotency-key",
]);
const OURS_BY_BEGINNING =
  /^(?:x-forwarded-|x-webauth-|x-auth-request-|x-grafana-device|x-original-|x-remote-)/;

/** The request's headers without what is not to be passed on; `own` are set by us, whatever the request says. */
export function requestHeaders(
  given: IncomingHttpHeaders,
  own: Readonly<Record<string, string>>,
): OutgoingHttpHeaders {
  const named = namedByConnection(given);
  const ownNames = new Set(Object.keys(own).map((name) => name.toLowerCase()));
  const kept = Object.entries(given).filter(
    ([name]) =>
      !HOP_BY_HOP.has(name) &&
      !named.has(name) &&
      !OURS.has(name) &&
      !OURS_BY_BEGINNING.test(name) &&
      // CGI-like servers read a_b as a-b.
      !ownNames.has(name.replaceAll("_", "-")),
  );
  return { ...Object.fromEntries(kept), ...own };
}

/** Cookies would be set for our own origin. */
const NOT_BACK: ReadonlySet<string> = new Set([
  "set-cookie",
  "set-cookie2",
  "strict-transport-security",
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "clear-site-data",
  "service-worker-allowed",
  "alt-svc",
  "www-authenticate",
]);

export interface Answering {
  readonly prefix: string;
  /** The server's own address. */
  readonly base: URL;
}

export function responseHeaders(
  given: IncomingHttpHeaders,
  answering: Answering,
): OutgoingHttpHeaders {
  const named = namedByConnection(given);
  const kept = Object.entries(given).filter(
    ([name]) =>
      !HOP_BY_HOP.has(name) && !named.has(name) && !NOT_BACK.has(name) && name !== "location",
  );
  const location = given.location === undefined ? undefined : ledBack(given.location, answering);
  return { ...Object.fromEntries(kept), ...(location === undefined ? {} : { location }) };
}

function namedByConnection({ connection }: IncomingHttpHeaders): ReadonlySet<string> {
  return new Set((connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
}

/** A redirect of the server, as an address of ours; undefined when it leads elsewhere. */
function ledBack(location: string, { prefix, base }: Answering): string | undefined {
  if (!URL.canParse(location, base.href)) return undefined;
  const to = new URL(location, base);
  const rest = `${to.pathname}${to.search}${to.hash}`;
  if (to.origin !== base.origin) return undefined;
  // Set up for this prefix, it says it by itself.
  if (to.pathname === prefix || to.pathname.startsWith(`${prefix}/`)) return rest;
  const below = base.pathname.replace(/\/$/, "");
  if (below !== "" && !to.pathname.startsWith(`${below}/`) && to.pathname !== below)
    return undefined;
  return prefix + rest.slice(below.length);
}
