import { randomBytes } from "node:crypto";
import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import { equalInConstantTime } from "../../lib/signature.ts";
import type { Call } from "../frame/call.ts";
import { cookieLine, isOfOwnPage, readCookie } from "../frame/cookies.ts";
import type { Authenticator, Principal } from "../types.ts";

export const HTML = { media: "text/html" } as const;

/** Comes back with each form, and must be what the browser's cookie says. */
export const csrfSchema = z.string().max(128);

/** Pages say to browsers where a form stands; with the frame's own policy they would send `Origin: null`. */
export const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "referrer-policy": "same-origin",
};

/** The token of the browser's forms, and the headers of the page that has one. */
export function formOf(call: Pick<Call, "header">) {
  const csrf = readCookie(headersOf(call), "fettle-form") ?? randomBytes(32).toString("base64url");
  const options = { host: call.header("host"), sameSite: "Strict" } as const;
  const cookie = cookieLine("fettle-form", csrf, options);
  return { csrf, headers: { ...PAGE_HEADERS, "set-cookie": cookie } };
}

/** A form of our own page, as its cookie proves and the browser says. @throws HttpProblem 403 */
export function demandForm(call: Pick<Call, "header">, given: string): void {
  const headers = headersOf(call);
  const told = headers.origin ?? headers["sec-fetch-site"]; // old browsers tell nothing
  const expected = readCookie(headers, "fettle-form");
  const own = told === undefined || isOfOwnPage("POST", headers);
  if (own && expected !== undefined && equalInConstantTime(given, expected)) return;
  throw new HttpProblem(403, "Not permitted", "The form is too old. Load its page again.");
}

/** Whose browser it is; undefined when nobody is signed in. */
export async function viewerOf(
  { authenticator }: { readonly authenticator: Authenticator },
  call: Pick<Call, "header">,
): Promise<Principal | undefined> {
  const cookie = readCookie(headersOf(call), "fettle-session");
  const identified = cookie === undefined ? undefined : await authenticator.identifyCookie(cookie);
  return identified?.known === true ? identified.principal : undefined;
}

/** @param maxAgeSeconds 0 takes it away */
export function sessionCookie(
  { header }: Pick<Call, "header">,
  value: string,
  maxAgeSeconds: number,
) {
  const options = { host: header("host"), sameSite: "Lax", maxAgeSeconds } as const;
  return { "set-cookie": cookieLine("fettle-session", value, options) };
}

function headersOf({ header }: Pick<Call, "header">) {
  return {
    cookie: header("cookie"),
    host: header("host"),
    origin: header("origin"),
    "sec-fetch-site": header("sec-fetch-site"),
    "sec-fetch-mode": header("sec-fetch-mode"),
  };
}
