import { HttpProblem } from "../../lib/problem.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { provePassword, type ProofDeps } from "../auth/prove-password.ts";
import { endSessionsOf } from "../auth/sessions.ts";
import { weakness } from "../auth/weakness.ts";
import type { Principal } from "../types.ts";
import { endAccess } from "./lost-rights.ts";
import { emailOf } from "./users.ts";

export interface NewPassword {
  readonly current_password: string;
  readonly new_password: string;
  /** Nobody else knew the old one: API tokens stay. */
  readonly keep_tokens: boolean;
}

/** The hashes of the old and the new one. */
export interface CheckedPasswords {
  readonly old: string;
  readonly new: string;
}

/**
 * A stolen session must not be enough to take the account over, nor to guess its password.
 *
 * @returns the hashes of both passwords, or why not
 * @throws HttpProblem 429, 503
 */
export async function checkNewPassword(
  deps: ProofDeps,
  { principal, ip }: { readonly principal: Principal; readonly ip: string },
  { current_password: current, new_password: wanted }: NewPassword,
): Promise<CheckedPasswords | HttpProblem> {
  if (principal.via !== "session")
    return new HttpProblem(403, "Not permitted", "Only who has signed in with a password has one.");
  const { name: username } = principal;
  const old = await provePassword(deps, { username, ip }, current);
  if (old === undefined) return wrong();
  const email = await emailOf(deps.database, username, principal);
  const same = wanted === current ? "must be another one" : undefined;
  const weak = same ?? weakness(wanted, { username, email });
  if (weak !== undefined) return new HttpProblem(400, "Bad request", `new_password: ${weak}`);
  return { old, new: await deps.passwords.hash(wanted) };
}

/** Writes it, and ends what the old one may have opened, but for this session. @throws HttpProblem 403 */
export async function changePassword(
  tx: Queryable,
  { name, session }: Principal,
  checked: CheckedPasswords,
  keepTokens: boolean,
): Promise<void> {
  const { rowCount } = await tx.query(
    `UPDATE hypervisor_users SET password_hash = $2, must_change = false, updated_at = now(),
            token_version = token_version + 1, version = version + 1
      WHERE username = $1 AND password_hash = $3`,
    [name, checked.new, checked.old],
  );
  if (rowCount === 0) throw wrong(); // it was changed since it was looked at
  if (keepTokens) await endSessionsOf(tx, [name], "password", session);
  else await endAccess(tx, name, "password", session);
}

function wrong(): HttpProblem {
  return new HttpProblem(403, "Not permitted", "The current password is wrong.");
}
