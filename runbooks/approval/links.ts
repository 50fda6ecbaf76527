import { createHmac } from "node:crypto";
import type { Secret } from "../../lib/secret.ts";
import { equalInConstantTime } from "../../lib/signature.ts";

interface Asked {
  readonly id: string;
  readonly planHash: string;
}

interface LinkedApproval extends Asked {
  readonly expiresAt: Date;
}

/**
 * The token in one approver's link: who holds it is that approver, for this request, this plan and this expiry. It is
 * derived and never stored; a decided request makes it worthless.
 */
export function linkToken(approval: LinkedApproval, approver: string, key: Secret): string {
  const text = ["v1", approval.id, approval.planHash, approval.expiresAt.getTime(), approver].join(
    "|",
  );
  return createHmac("sha256", key.reveal()).update(text).digest("base64url");
}

/** Whose link this is; undefined for a forged token. Looks at every approver, so that the time tells nothing. */
export function approverOf(
  token: string,
  approval: LinkedApproval,
  approvers: readonly string[],
  key: Secret,
): string | undefined {
  return approvers
    .filter((approver) => equalInConstantTime(token, linkToken(approval, approver, key)))
    .at(0);
}

type ButtonVerdict = "approved" | "rejected" | "ask_again";

/** Enough of the plan's hash to tell two plans of one request apart. */
const HASH_SHOWN = 8;
const MAC_BYTES = 16;

/** What a chat's button carries: `v1.<request>.<plan>.<proof>`. Everything else comes from the database. */
export function buttonValue({ id, planHash }: Asked, verdict: ButtonVerdict, key: Secret): string {
  const hash = planHash.slice(0, HASH_SHOWN);
  const mac = createHmac("sha256", key.reveal())
    .update(["button", "v1", id, hash, verdict].join("|"))
    .digest()
    .subarray(0, MAC_BYTES)
    .toString("hex");
  return ["v1", id, hash, mac].join(".");
}

/** The request's id of a button that we made for this verdict; undefined for any other text. */
export function readButton(
  value: string,
  verdict: ButtonVerdict,
  key: Secret,
): { readonly approvalId: string; readonly planHashStart: string } | undefined {
  const [, approvalId = "", planHashStart = ""] = value.split(".");
  const expected = buttonValue({ id: approvalId, planHash: planHashStart }, verdict, key);
  return equalInConstantTime(value, expected) ? { approvalId, planHashStart } : undefined;
}
