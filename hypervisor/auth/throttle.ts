import { ipKeyGenerator } from "express-rate-limit";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";

/** Guesses within the window, then nobody's password is looked at until it ends: never for good. */
const WINDOW_MINUTES = 15;
/**
 * From one address, so that a stranger elsewhere cannot keep somebody out; for one account from everywhere; and from
 * one address for all accounts.
 */
const LIMITS = { pair: 5, account: 30, address: 20 } as const;

/** How long an address counts as one that somebody has signed in from. */
export const SEEN_DAYS = 30;
/** Who is given a network of IPv6 has that many bits to choose addresses from, and is one client. */
const NETWORK_BITS = 64;

interface Failure {
  readonly failures: number;
  readonly left_seconds: number;
}

export type ThrottleLimit = keyof typeof LIMITS;

interface Subject {
  readonly subject: string;
  readonly which: ThrottleLimit;
}

/** Nobody's password was looked at: there were too many guesses. */
export class ThrottledProblem extends HttpProblem {
  readonly limit: ThrottleLimit;

  constructor(limit: ThrottleLimit, leftSeconds: number) {
    const seconds = Math.max(1, Math.ceil(leftSeconds));
    const detail = `Too many attempts to sign in; try again in ${Math.ceil(seconds / 60)} min.`;
    super(429, "Too many requests", detail, { "Retry-After": String(seconds) });
    this.limit = limit;
  }
}

export interface Attempt {
  readonly username: string;
  readonly ip: string;
}

/**
 * Counts a guess before the password is looked at, so that a hundred at once are a hundred. What one limit refuses does
 * not count for the next: one address cannot use up the guesses that the account has from everywhere. And where its
 * owner has signed in lately, the account is open whatever comes from elsewhere.
 *
 * @throws ThrottledProblem 429 with the time that is left
 */
export async function countGuess(database: Queryable, attempt: Attempt): Promise<void> {
  const { pair, account, address } = subjectsOf(attempt);
  await count(database, address); // first: who is over it leaves no rows of names that are made up
  await count(database, pair);
  if (!(await signedInLately(database, attempt))) await count(database, account);
}

async function count(database: Queryable, { subject, which }: Subject): Promise<void> {
  const { rows } = await database.query<Failure>(
    `INSERT INTO hypervisor_login_failures AS f (subject, since, failures) VALUES ($1, now(), 1)
     ON CONFLICT (subject) DO UPDATE
        SET failures = CASE WHEN f.since < now() - make_interval(mins => $2) THEN 1 ELSE least(f.failures + 1, 1000000) END,
            since = CASE WHEN f.since < now() - make_interval(mins => $2) THEN now() ELSE f.since END
     RETURNING failures,
               extract(epoch FROM f.since + make_interval(mins => $2) - now())::float8 AS left_seconds`,
    [subject, WINDOW_MINUTES],
  );
  const [row] = rows;
  if (row !== undefined && row.failures > LIMITS[which])
    throw new ThrottledProblem(which, row.left_seconds);
}

async function signedInLately(database: Queryable, attempt: Attempt): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT FROM hypervisor_login_addresses
      WHERE username = $1 AND address = $2 AND seen_at > now() - make_interval(days => ${SEEN_DAYS})`,
    [attempt.username, networkOf(attempt)],
  );
  return rowCount === 1;
}

/** The password was right: the account's guesses are forgotten, and this one was none of the address's. */
export async function forgetGuesses(database: Queryable, attempt: Attempt): Promise<void> {
  const { pair, account, address } = subjectsOf(attempt);
  await database.query("DELETE FROM hypervisor_login_failures WHERE subject IN ($1, $2)", [
    pair.subject,
    account.subject,
  ]);
  await database.query(
    "UPDATE hypervisor_login_failures SET failures = greatest(failures - 1, 0) WHERE subject = $1",
    [address.subject],
  );
  await database.query(
    `INSERT INTO hypervisor_login_addresses (username, address) VALUES ($1, $2)
     ON CONFLICT (username, address) DO UPDATE SET seen_at = now()`,
    [attempt.username, networkOf(attempt)],
  );
}

function subjectsOf(attempt: Attempt): Readonly<Record<ThrottleLimit, Subject>> {
  const { username } = attempt;
  const network = networkOf(attempt);
  return {
    pair: { subject: `pair:${username} ${network}`, which: "pair" },
    account: { subject: `user:${username}`, which: "account" },
    address: { subject: `ip:${network}`, which: "address" },
  };
}

function networkOf({ ip }: Attempt): string {
  return ipKeyGenerator(ip, NETWORK_BITS);
}
