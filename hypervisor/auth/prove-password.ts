import type { Database } from "../../lib/postgres.ts";
import type { LoginMetrics } from "./login-metrics.ts";
import type { Passwords } from "./password.ts";
import { countGuess, forgetGuesses, ThrottledProblem } from "./throttle.ts";

export interface ProofDeps {
  readonly database: Database;
  readonly passwords: Passwords;
  readonly metrics: Pick<LoginMetrics, "throttled">;
}

/**
 * Whether somebody who is signed in knows their password: guesses count as those of a login do.
 *
 * @returns its hash; undefined when it is wrong, or there is none
 * @throws HttpProblem 429, 503
 */
export async function provePassword(
  { database, passwords, metrics }: ProofDeps,
  { username, ip }: { readonly username: string; readonly ip: string },
  given: string,
): Promise<string | undefined> {
  await countGuess(database, { username, ip }).catch((error: unknown) => {
    if (error instanceof ThrottledProblem) metrics.throttled(error.limit);
    throw error;
  });
  const hash = await hashOf(database, username);
  const verdict = await passwords.verify(given, hash);
  if (verdict === "wrong" || hash === null) return undefined;
  await forgetGuesses(database, { username, ip });
  return hash;
}

async function hashOf(database: Database, username: string): Promise<string | null> {
  const { rows } = await database.query<{ password_hash: string | null }>(
    "SELECT password_hash FROM hypervisor_users WHERE username = $1",
    [username],
  );
  return rows[0]?.password_hash ?? null;
}
