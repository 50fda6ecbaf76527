import { sha256Hex } from "../lib/canonical.ts";
import type { Queryable } from "../lib/postgres.ts";
import { appendAuditEntries } from "./audit.ts";

/** Until then a group that was cut stops its runs: from `intent` on a call to the cluster may have left. */
const STOPPABLE = ["matched", "collecting", "collected", "approval_pending", "approved"];
const WHY = "Alertmanager cut the group, so its extent is not known";

/** A group's key in the database: it may hold any label's text, of any length. Undefined when the sender has no groups. */
export function groupKeyOf({ groupKey }: { readonly groupKey: string }): string | undefined {
  return groupKey === "" ? undefined : sha256Hex(groupKey);
}

/** Writes down whether the group's latest delivery was whole. */
export async function rememberGroup(
  tx: Queryable,
  {
    source,
    groupKey,
    truncated,
  }: {
    readonly source: string;
    readonly groupKey: string | undefined;
    readonly truncated: boolean;
  },
): Promise<void> {
  if (groupKey === undefined) return;
  await tx.query(
    `INSERT INTO alert_groups (source, key_sha256, truncated_at) VALUES ($1, $2, CASE WHEN $3 THEN now() END)
     ON CONFLICT (source, key_sha256) DO UPDATE SET seen_at = now(), truncated_at = excluded.truncated_at`,
    [source, groupKey, truncated],
  );
}

/** The runs of a group's alerts that can still be stopped. */
export async function findRunsOfGroup(
  tx: Queryable,
  source: string,
  groupKey: string | undefined,
): Promise<readonly string[]> {
  if (groupKey === undefined) return [];
  const { rows } = await tx.query<{ id: string }>(
    `SELECT DISTINCT r.id FROM episodes e JOIN runs r ON r.id = e.run_id
      WHERE e.source = $1 AND e.group_key_sha256 = $2 AND e.resolved_at IS NULL AND e.run_id IS NOT NULL
        AND r.state = ANY ($3)`,
    [source, groupKey, STOPPABLE],
  );
  return rows.map(({ id }) => id);
}

/**
 * Ends those of these runs that have done nothing yet; a worker that is at one of them loses it. Who may answer takes the
 * approval's row before the run's, and so does this.
 */
export async function stopTruncatedRuns(tx: Queryable, runIds: readonly string[]): Promise<void> {
  if (runIds.length === 0) return;
  const { rows } = await tx.query<{
    id: string;
    namespace: string;
    app: string;
    target_key: string;
  }>(
    `UPDATE runs SET state = 'skipped_truncated', outcome = $3, finished_at = now(), updated_at = now(), state_since = now()
      WHERE id = ANY ($1) AND state = ANY ($2) RETURNING id, namespace, app, target_key`,
    [runIds, STOPPABLE, WHY],
  );
  const ended = rows.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  await tx.query(
    `UPDATE approvals SET state = 'cancelled', decided_at = now(), decided_via = 'fettle'
      WHERE run_id = ANY ($1) AND state = 'pending'`,
    [ended.map(({ id }) => id)],
  );
  await appendAuditEntries(
    tx,
    ended.map(({ target_key: targetKey, ...subject }) => ({
      subject: { ...subject, targetKey },
      event: "skipped_truncated",
      actor: "fettle",
      detail: { why: WHY },
    })),
  );
}
