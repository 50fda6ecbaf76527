import type { Database, Queryable } from "../lib/postgres.ts";
import { appendAudit } from "./audit.ts";
import type { KillSwitch } from "./decide.ts";

/** The kill switch that holds for an app: the widest of those that are on. Null when none is. */
export async function killedBy(
  { namespace, app }: { readonly namespace: string; readonly app: string },
  database: Queryable,
): Promise<KillSwitch | null> {
  const { rows } = await database.query<KillSwitch>(
    `SELECT scope, by_whom AS by, reason FROM kill_switches
      WHERE scope = ANY ($1) AND (until IS NULL OR until > now())
      ORDER BY array_position($1, scope) LIMIT 1`,
    [["*", namespace, `${namespace}/${app}`]],
  );
  return rows[0] ?? null;
}

/** A stop that is on. */
export interface ActiveKillSwitch extends KillSwitch {
  readonly at: Date;
  /** When it ends by itself; null: when a person ends it. */
  readonly until: Date | null;
}

const COLUMNS = "scope, by_whom AS by, reason, at, until";

/** All that are on, the widest first. */
export async function listKillSwitches(database: Queryable): Promise<readonly ActiveKillSwitch[]> {
  const { rows } = await database.query<ActiveKillSwitch>(
    `SELECT ${COLUMNS} FROM kill_switches WHERE until IS NULL OR until > now()
      ORDER BY scope <> '*', scope`,
  );
  return rows;
}

/** `*`, `<namespace>` or `<namespace>/<app>`. */
export function isKillScope(text: string): boolean {
  return /^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\/[A-Za-z0-9][\w.-]{0,252})?)$/.test(text);
}

/** Switches remediation off for a scope; a stop that was on there is replaced. In force before the next write to the cluster. */
export async function switchOff(
  stop: KillSwitch & { readonly seconds: number | undefined },
  database: Database,
): Promise<ActiveKillSwitch> {
  const { scope, by, reason, seconds } = stop;
  return database.inTransaction(async (tx) => {
    const { rows } = await tx.query<ActiveKillSwitch>(
      `INSERT INTO kill_switches (scope, by_whom, reason, until)
       VALUES ($1, $2, $3, now() + make_interval(secs => $4))
       ON CONFLICT (scope) DO UPDATE
          SET by_whom = excluded.by_whom, reason = excluded.reason, at = now(), until = excluded.until
       RETURNING ${COLUMNS}`,
      [scope, by, reason, seconds ?? null],
    );
    const [active] = rows;
    if (active === undefined) throw new Error("the kill switch returned no row");
    const detail = { scope, reason, until: active.until };
    await appendAudit(tx, subjectOf(scope), [{ event: "disabled", actor: by, detail }]);
    return active;
  });
}

/** Takes a scope's stop away. False when there was none; those of other scopes stay. */
export async function switchOn(
  { scope, by, reason }: KillSwitch,
  database: Database,
): Promise<boolean> {
  return database.inTransaction(async (tx) => {
    const { rows } = await tx.query<{ active: boolean }>(
      "DELETE FROM kill_switches WHERE scope = $1 RETURNING until IS NULL OR until > now() AS active",
      [scope],
    );
    if (rows[0]?.active !== true) return false;
    const detail = { scope, reason };
    await appendAudit(tx, subjectOf(scope), [{ event: "enabled", actor: by, detail }]);
    return true;
  });
}

/** It belongs to no run; the namespace and app that it names are told. */
function subjectOf(scope: string) {
  const [namespace = null, app = null] = scope === "*" ? [] : scope.split("/");
  return { id: null, namespace, app, targetKey: null };
}
