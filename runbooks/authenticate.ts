import { couldBeSigned, equalInConstantTime, verifySignature } from "../lib/signature.ts";
import type { Secret } from "../lib/secret.ts";

export interface Credentials {
  /** Bearer token, or password of basic authentication. */
  readonly token: Secret | undefined;
  readonly hmacKey: Secret | undefined;
  /** Only on a loopback address (config.ts): requests without a credential are accepted. */
  readonly allowAnonymous: boolean;
}

export interface AuthenticationHeaders {
  readonly authorization: string | undefined;
  readonly signature: string | undefined;
  readonly timestamp: string | undefined;
}

export type Sender =
  | { readonly kind: "known"; readonly source: string }
  /** The signature covers the body: call `verify` once it is read. */
  | { readonly kind: "signed"; readonly verify: (body: Buffer) => string | undefined }
  | { readonly kind: "refused" };

/** Says who sends, from the headers alone, so that the body of a stranger is never read. */
export function authenticate(
  headers: AuthenticationHeaders,
  credentials: Credentials,
  now: Date,
): Sender {
  const { token, hmacKey, allowAnonymous } = credentials;
  if (headers.authorization !== undefined) {
    const given = presentedToken(headers.authorization);
    const right =
      given !== undefined && token !== undefined && equalInConstantTime(given, token.reveal());
    return right ? { kind: "known", source: "alertmanager" } : { kind: "refused" };
  }
  if (headers.signature !== undefined) {
    if (hmacKey === undefined || !couldBeSigned(headers, now)) return { kind: "refused" };
    return {
      kind: "signed",
      verify: (body) =>
        verifySignature(hmacKey.reveal(), headers, body, now) === "ok" ? "detector" : undefined,
    };
  }
  return allowAnonymous ? { kind: "known", source: "anonymous" } : { kind: "refused" };
}

/** The token of `Bearer <token>`, or the password of `Basic <base64 user:password>`. */
function presentedToken(authorization: string): string | undefined {
  const [, scheme, value] = /^(bearer|basic)\s+(\S+)$/i.exec(authorization) ?? [];
  if (scheme === undefined || value === undefined) return undefined;
  if (scheme.toLowerCase() === "bearer") return value;
  const [, ...password] = Buffer.from(value, "base64").toString("utf8").split(":");
  return password.join(":");
}
