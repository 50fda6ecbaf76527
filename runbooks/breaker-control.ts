import type { Database, Queryable } from "../lib/postgres.ts";
import { appendAudit } from "./audit.ts";
import { appKeyOf, parseTargetKey } from "./types/target.ts";

/** A breaker as people see it. */
export interface BreakerRow {
  readonly key: string;
  readonly state: "closed" | "open";
  readonly reason: string | null;
  readonly openedAt: Date | null;
  readonly openedBy: string | null;
  readonly usedHour: number;
  readonly usedDay: number;
}

const ROWS_MAX = 1_000;

/** Breakers that are open or were used in the last day; the open ones first. With a key: that one, if it was ever used. */
export async function listBreakers(
  database: Queryable,
  key?: string,
): Promise<readonly BreakerRow[]> {
  const { rows } = await database.query<BreakerRow>(
    `SELECT b.app_key AS key, b.state, b.reason, b.opened_at AS "openedAt", b.opened_by AS "openedBy",
            count(s.run_id) FILTER (WHERE s.taken_at > now() - interval '1 hour')::int AS "usedHour",
            count(s.run_id)::int AS "usedDay"
       FROM breakers b LEFT JOIN breaker_slots s
         ON s.app_key = b.app_key AND s.taken_at > now() - interval '1 day'
      WHERE $1::text IS NULL OR b.app_key = $1
      GROUP BY b.app_key
     HAVING $1::text IS NOT NULL OR b.state = 'open' OR count(s.run_id) > 0
      ORDER BY (b.state = 'open') DESC, count(s.run_id) DESC, b.app_key LIMIT $2`,
    [key ?? null, ROWS_MAX],
  );
  return rows;
}

/** A person opens or closes a breaker. */
export interface BreakerChange {
  readonly key: string;
  readonly state: "open" | "closed";
  readonly by: string;
  readonly reason: string;
  /** Where the person said so. */
  readonly via?: "cli" | "page";
}

/**
 * Opens a breaker, also one that no action has used yet, or closes it. Slots stay: closing gives no action back.
 *
 * @returns false when it is in that state already; then nothing is written
 */
export async function changeBreaker(
  { key, state, by, reason, via = "cli" }: BreakerChange,
  database: Database,
): Promise<boolean> {
  const subject = subjectOf(key);
  return database.inTransaction(async (tx) => {
    await tx.query("INSERT INTO breakers (app_key) VALUES ($1) ON CONFLICT DO NOTHING", [key]);
    const { rowCount } = await tx.query(
      state === "open"
        ? `UPDATE breakers SET state = 'open', reason = $2, opened_at = now(), opened_by = $3
            WHERE app_key = $1 AND state = 'closed'`
        : `UPDATE breakers SET state = 'closed', reason = $2, closed_at = now(), closed_by = $3
            WHERE app_key = $1 AND state = 'open'`,
      [key, reason, by],
    );
    if (rowCount === 0) return false;
    const event = state === "open" ? "breaker_opened" : "breaker_closed";
    await appendAudit(tx, subject, [
      { event, actor: by, detail: { breaker: key, why: reason, via } },
    ]);
    return true;
  });
}

/**
 * The breaker's key that a person means: `shop/checkout` (an app), `shop/deployment/checkout` (a target), or a whole key as
 * it is listed.
 *
 * @throws RangeError
 */
export function breakerKeyOf(text: string, cluster: string): string {
  const parts = text.replace(/^app:/, "").split("/");
  // A name that no workload can have would be a breaker that stops nothing, while somebody believes it does.
  if (!parts.every((part) => NAME.test(part))) throw noKey(text);
  const [first = "", second = "", third = ""] = parts;
  if (text.startsWith("app:")) {
    if (parts.length !== 3) throw noKey(text);
    return text;
  }
  if (parts.length === 2) return appKeyOf({ cluster, namespace: first, app: second });
  const key = parts.length === 3 ? `${cluster}/${first}/${second}/${third}` : text;
  try {
    parseTargetKey(key, "");
  } catch {
    throw noKey(text);
  }
  return key;
}

/** Names of Kubernetes, and of the hypervisor's containers. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/;

function noKey(text: string): RangeError {
  return new RangeError(
    `${JSON.stringify(text)} names no breaker: <namespace>/<app>, <namespace>/<kind>/<name>, or a key as "fettle breaker ls" shows it`,
  );
}

function subjectOf(key: string) {
  if (key.startsWith("app:")) {
    const [, namespace = null, app = null] = key.slice("app:".length).split("/");
    return { id: null, namespace, app, targetKey: null };
  }
  const { namespace, name } = parseTargetKey(key, "");
  return { id: null, namespace, app: name, targetKey: key };
}
