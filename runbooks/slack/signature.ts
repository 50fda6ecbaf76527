import { createHmac } from "node:crypto";
import type { Secret } from "../../lib/secret.ts";
import { equalInConstantTime } from "../../lib/signature.ts";

/** Slack's own figure; a request is as young as this, or it is somebody's copy. */
const MAX_AGE_SECONDS = 300;

export interface SlackHeaders {
  readonly signature: string | undefined;
  readonly timestamp: string | undefined;
}

/**
 * Why the request did not come from our Slack app just now, or undefined. Over the raw bytes, before anything is parsed;
 * with every secret that is in use, so that one can be rotated.
 */
export function slackObjection(
  { signature = "", timestamp = "" }: SlackHeaders,
  raw: Buffer,
  secrets: readonly Secret[],
  now: Date,
): string | undefined {
  if (!/^\d{1,12}$/.test(timestamp)) return "the timestamp is missing or no number";
  if (!/^v0=[0-9a-f]{64}$/.test(signature)) return "the signature is missing or of another form";
  if (Math.abs(now.getTime() / 1000 - Number(timestamp)) > MAX_AGE_SECONDS)
    return "the timestamp is more than 5 minutes away from our clock";
  const right = secrets.filter((secret) => {
    const mac = createHmac("sha256", secret.reveal());
    const expected = `v0=${mac.update(`v0:${timestamp}:`).update(raw).digest("hex")}`;
    return equalInConstantTime(signature, expected);
  });
  return right.length > 0 ? undefined : "the signature is wrong";
}
