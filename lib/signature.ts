import { createHmac, timingSafeEqual } from "node:crypto";

export const SIGNATURE_HEADER = "x-fettle-signature";
export const TIMESTAMP_HEADER = "x-fettle-timestamp";

/** A request older or newer than this is refused: long enough for clock skew, short for a replay. Slack uses the same. */
const MAX_AGE_SECONDS = 300;

/**
 * Hex HMAC-SHA256 over `<unix seconds>:<body>`. The scheme is Grafana's (alerting `http/hmac.go`), with the timestamp
 * mandatory, so that one verifier serves both senders.
 */
export function signBody(
  secret: string,
  timestampSeconds: number,
  body: string | Uint8Array,
): string {
  return createHmac("sha256", secret).update(`${timestampSeconds}:`).update(body).digest("hex");
}

export interface SignatureHeaders {
  readonly signature: string | undefined;
  readonly timestamp: string | undefined;
}

/** What can be told before the body is read: the form of the headers, and their age. */
export function couldBeSigned(
  { signature = "", timestamp = "" }: SignatureHeaders,
  now: Date,
): boolean {
  return (
    /^(sha256=)?[0-9a-f]{64}$/.test(signature) &&
    /^\d{1,12}$/.test(timestamp) &&
    isFresh(Number(timestamp), now)
  );
}

function isFresh(timestampSeconds: number, now: Date): boolean {
  return Math.abs(now.getTime() / 1000 - timestampSeconds) <= MAX_AGE_SECONDS;
}

/** Compares in constant time; says "expired" only for a signature that is right. */
export function verifySignature(
  secret: string,
  { signature, timestamp }: SignatureHeaders,
  body: string | Uint8Array,
  now: Date,
): "ok" | "bad" | "expired" {
  if (signature === undefined || timestamp === undefined || !/^\d{1,12}$/.test(timestamp))
    return "bad";
  if (
    !equalInConstantTime(
      signature.replace(/^sha256=/, ""),
      signBody(secret, Number(timestamp), body),
    )
  )
    return "bad";
  return isFresh(Number(timestamp), now) ? "ok" : "expired";
}

/** True when both texts are equal; the time it takes tells nothing about where they differ. */
export function equalInConstantTime(left: string, right: string): boolean {
  const key = "length-hiding"; // hashing first gives both sides one length; the key is no secret
  const digest = (value: string) => createHmac("sha256", key).update(value).digest();
  return timingSafeEqual(digest(left), digest(right));
}
