import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Principal } from "../types.ts";
import { provePassword, type ProofDeps } from "./prove-password.ts";

/** So long after a sign-in its session may make what outlives it. */
const RECENT_SECONDS = 600;

export interface RecentDeps extends ProofDeps {
  readonly clock: Pick<Clock, "now">;
}

interface Asking {
  readonly principal: Principal;
  readonly ip: string;
  /** Given again, instead of a recent sign-in. */
  readonly password: string | undefined;
}

/** What outlives the session, or the token, of whoever makes it. */
type Lasting = "tokens" | "users, and gives no rights" | "roles";

/** Again, instead of a recent sign-in. */
export const currentPasswordSchema = z.string().min(1).max(256).optional();

/**
 * An access token that was stolen must not become something that outlives its session, nor an API token something that
 * outlives the token. Refreshing is no sign-in: who signed in longer ago does so again, or gives the password.
 *
 * @returns why not (RFC 9470: the challenge says how recent it must be); undefined when they may
 * @throws HttpProblem 429, 503 when a password cannot be looked at
 */
export async function mayNotMake(
  deps: RecentDeps,
  what: Lasting,
  asking: Asking,
): Promise<HttpProblem | undefined> {
  const { via, withheld } = asking.principal;
  if (via === "api-token") return refused(`A token makes no ${what}: sign in.`);
  return withheld === undefined ? staleSignIn(deps, asking) : refused(withheld);
}

function refused(detail: string): HttpProblem {
  return new HttpProblem(403, "Not permitted", detail);
}

async function staleSignIn(
  deps: RecentDeps,
  { principal, ip, password }: Asking,
): Promise<HttpProblem | undefined> {
  const { name: username, via } = principal;
  if (via === "static-token") return undefined; // the configuration's, which no sign-in stands behind
  if (via === "session" && password !== undefined) {
    const proof = await provePassword(deps, { username, ip }, password);
    return proof === undefined ? refused("The current password is wrong.") : undefined;
  }
  return (await isRecent(deps, principal)) ? undefined : tooLongAgo(via);
}

async function isRecent({ database, clock }: RecentDeps, principal: Principal): Promise<boolean> {
  const { session, signedInAt } = principal;
  if (session === undefined)
    return (
      signedInAt !== undefined &&
      Math.abs(clock.now().getTime() - signedInAt.getTime()) < RECENT_SECONDS * 1000
    );
  const { rowCount } = await database.query(
    `SELECT FROM hypervisor_sessions
      WHERE id = $1 AND created_at > now() - make_interval(secs => ${RECENT_SECONDS})`,
    [session],
  );
  return rowCount === 1;
}

function tooLongAgo(via: Principal["via"]): HttpProblem {
  const how =
    via === "oidc"
      ? `the identity provider must say (auth_time) that you signed in there within ${RECENT_SECONDS / 60} minutes.`
      : `sign in again, or give current_password: your sign-in is older than ${RECENT_SECONDS / 60} minutes.`;
  const challenge = `Bearer realm="fettle", error="insufficient_user_authentication", max_age=${RECENT_SECONDS}`;
  return new HttpProblem(401, "Not authenticated", `A recent sign-in is needed: ${how}`, {
    "WWW-Authenticate": challenge,
  });
}
