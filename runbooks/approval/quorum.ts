import type { Queryable } from "../../lib/postgres.ts";
import { personOf, type AllowList } from "./authorize.ts";

/** Those who have said yes, in the order in which they did. */
export async function yesSayers(tx: Queryable, approvalId: string): Promise<readonly string[]> {
  const { rows } = await tx.query<{ person: string }>(
    "SELECT person FROM approval_votes WHERE approval_id = $1 AND verdict = 'approved' ORDER BY at",
    [approvalId],
  );
  return rows.map(({ person }) => person);
}

/**
 * How many people have to say yes, those included who have. Who changed the policy within a day cannot be the only one to
 * say yes under it: then one more is needed.
 */
export async function votesNeeded(
  tx: Queryable,
  quorum: number,
  people: readonly string[],
  list: AllowList,
): Promise<number> {
  if (people.length < quorum) return quorum;
  const { rows } = await tx.query<{ by: string }>(
    `SELECT DISTINCT changed_by AS by FROM policy_versions
      WHERE changed_by IS NOT NULL AND first_seen > now() - interval '1 day'`,
  );
  const changers = rows.map(({ by }) => personOf(by, list));
  return people.every((person) => changers.includes(person)) ? people.length + 1 : quorum;
}
