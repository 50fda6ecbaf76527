import { HttpProblem } from "../../lib/problem.ts";
import type { Queryable } from "../../lib/postgres.ts";

/** Whose account at the identity provider a user is, as the table has it. */
export interface BoundAccount {
  readonly oidc_issuer: string;
  readonly oidc_subject: string;
}

/** @throws HttpProblem 400 when nobody can sign in by it */
export function accountOf(
  subject: string | undefined,
  issuer: string | undefined,
  withPassword: boolean,
): BoundAccount | undefined {
  if (subject === undefined) return undefined;
  if (issuer === undefined) throw wrong("needs OIDC_ISSUER, which is not set");
  if (withPassword) throw wrong("who has a password does not sign in elsewhere: password: null");
  return { oidc_issuer: issuer, oidc_subject: subject };
}

function wrong(why: string): HttpProblem {
  return new HttpProblem(400, "Bad request", `oidc_subject: ${why}`);
}

/** @throws HttpProblem 409 when it is somebody else's */
export async function requireFreeAccount(
  tx: Queryable,
  account: BoundAccount | undefined,
  username: string,
): Promise<void> {
  if (account === undefined) return;
  const { rows } = await tx.query<{ username: string }>(
    `SELECT username FROM hypervisor_users
      WHERE oidc_issuer = $1 AND oidc_subject = $2 AND username <> $3`,
    [account.oidc_issuer, account.oidc_subject, username],
  );
  const [other] = rows;
  if (other === undefined) return;
  throw new HttpProblem(409, "Conflict", `oidc_subject: ${other.username} has it`);
}
