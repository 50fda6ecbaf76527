import { permissionsOf, type Person } from "../auth/person.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Queryable } from "../../lib/postgres.ts";
import type { Principal } from "../types.ts";
import { accountOf, requireFreeAccount } from "./account.ts";
import { requireMayGrant, type Grant } from "./grant.ts";
import { endAccess, isLess, loseRights } from "./lost-rights.ts";
import { isAdmin, madeRole, requireOrganization, requireOtherAdmin } from "./users.ts";

/** What is given is changed; the rest stays. */
export interface UserUpdate {
  readonly email?: string | undefined;
  readonly role?: string | undefined;
  readonly permissions?: readonly string[] | undefined;
  readonly organization?: string | null | undefined;
  readonly enabled?: boolean | undefined;
  /** Of the new password; null takes it away. */
  readonly hash: string | null | undefined;
  /** Whose account they are at the identity provider; null: the first one's that comes by the name. */
  readonly oidc_subject?: string | null | undefined;
}

interface Context {
  readonly principal: Principal;
  /** The user, locked. */
  readonly before: Person;
  readonly oidcIssuer: string | undefined;
}

/** Changes a user, and ends what they may not have any more. @throws HttpProblem 400, 403, 409 */
export async function updateUser(
  tx: Queryable,
  context: Context,
  update: UserUpdate,
): Promise<void> {
  const { principal, before, oidcIssuer } = context;
  const { username } = before;
  requireNotOneself(principal, username, update);
  const after = await grantOf(tx, before, update);
  if ([update.role, update.organization, update.permissions].some((each) => each !== undefined)) {
    requireMayGrant(principal, after);
    await requireOrganization(tx, after.organization);
  }
  const { enabled = before.enabled, hash } = update;
  if (isAdmin(before) && !(isAdmin(after) && enabled)) await requireOtherAdmin(tx, username);
  const account = accountIn(update, before, oidcIssuer);
  await requireFreeAccount(tx, account, username);
  await write(tx, username, { ...update, account });
  const moved = after.organization !== before.organization || isAnother(before, update);
  if (hash !== undefined || !enabled || moved) await endAccess(tx, username);
  else if (isLess(before, after)) await loseRights(tx, [username], permissionsOf(after));
}

function accountIn({ hash, oidc_subject: subject }: UserUpdate, before: Person, issuer?: string) {
  const withPassword = hash === undefined ? before.signs_in_here : hash !== null;
  return accountOf(subject ?? undefined, issuer, withPassword);
}

/** Who was one account of the identity provider is another one from now on, or nobody's. */
function isAnother({ oidc_subject: before }: Person, { oidc_subject: after }: UserUpdate): boolean {
  return before !== null && after !== undefined && after !== before;
}

/** Nobody sets their own rights, and their own password goes by /auth/password, which asks for the old one. */
function requireNotOneself(principal: Principal, username: string, update: UserUpdate): void {
  const { role, permissions, organization, enabled, hash, oidc_subject: subject } = update;
  if (principal.name !== username) return;
  if ([role, permissions, organization, enabled, subject].some((value) => value !== undefined))
    throw new HttpProblem(403, "Not permitted", "Nobody changes their own rights.");
  if (hash !== undefined)
    throw new HttpProblem(403, "Not permitted", "Your own password: POST /auth/password.");
}

async function grantOf(tx: Queryable, before: Person, update: UserUpdate): Promise<Grant> {
  const { role = before.role, organization = before.organization } = update;
  const { permissions = role === "Custom" ? before.permissions : [] } = update;
  return { role, permissions, organization, role_permissions: await madeRole(tx, role) };
}

async function write(
  tx: Queryable,
  username: string,
  update: UserUpdate & { readonly account: ReturnType<typeof accountOf> },
): Promise<void> {
  const { email, role, permissions, organization, enabled, hash, oidc_subject: subject } = update;
  const rights = [role, permissions, organization, enabled, hash, subject].some(
    (each) => each !== undefined,
  );
  await tx.query(
    `UPDATE hypervisor_users SET email = coalesce($2, email), role = coalesce($3, role),
            permissions = CASE WHEN coalesce($3, role) = 'Custom' THEN coalesce($4, permissions) ELSE '{}' END,
            organization_id = CASE WHEN $5 THEN $6 ELSE organization_id END,
            enabled = coalesce($7, enabled),
            password_hash = CASE WHEN $8 THEN $9 ELSE password_hash END,
            must_change = CASE WHEN $8 THEN $9::text IS NOT NULL ELSE must_change END,
            token_version = token_version + CASE WHEN $10 THEN 1 ELSE 0 END,
            oidc_issuer = CASE WHEN $11 THEN $12 ELSE oidc_issuer END,
            oidc_subject = CASE WHEN $11 THEN $13 ELSE oidc_subject END,
            version = version + 1, updated_at = now()
      WHERE username = $1`,
    [
      ...[username, email ?? null, role ?? null, permissions ?? null],
      ...[organization !== undefined, organization ?? null, enabled ?? null],
      ...[hash !== undefined, hash ?? null, rights, subject !== undefined],
      ...[update.account?.oidc_issuer ?? null, update.account?.oidc_subject ?? null],
    ],
  );
}
