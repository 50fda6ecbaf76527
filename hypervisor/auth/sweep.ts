import type { Queryable } from "../../lib/postgres.ts";
import { KEPT_HOURS } from "../frame/kept-answers.ts";
import { FORGOTTEN_KEYS } from "./stored-keys.ts";
import { SEEN_DAYS } from "./throttle.ts";

/** Rows at once, so that a sweep after a storm stays within a statement's time. */
const ROWS_MAX = 10_000;
/** Ended sessions are kept a while: a stolen refresh token that comes late is still recognised. */
const ENDED_DAYS = 7;

const EXPIRED: readonly (readonly [table: string, condition: string])[] = [
  ["hypervisor_requests", `created_at < now() - interval '${KEPT_HOURS} hours'`],
  ["hypervisor_login_failures", "since < now() - interval '1 hour'"],
  ["hypervisor_login_addresses", `seen_at < now() - interval '${SEEN_DAYS} days'`],
  ["hypervisor_sessions", `expires_at < now() - interval '${ENDED_DAYS} days'`],
  ["hypervisor_api_tokens", "expires_at < now() - interval '90 days'"],
  ["hypervisor_signing_keys", FORGOTTEN_KEYS],
];

/** Takes away what has no effect any more. */
export async function sweepPeople(database: Queryable): Promise<void> {
  for (const [table, condition] of EXPIRED) {
    await database.query(
      `DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} WHERE ${condition} LIMIT ${ROWS_MAX})`,
    );
  }
}
