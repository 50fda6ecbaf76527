import type { Queryable } from "../../lib/postgres.ts";
import type { Mask, RunbookRecord } from "../types/training.ts";

/** Rows of one question; more would be a sign that the question is wrong. */
const ROWS_MAX = 50_000;
/** After a restart caches are cold and queues are long: the workload is not itself for a while. */
const SETTLES_AFTER = "10 minutes";
/** Longer than any sensible repeat interval of an Alertmanager; who is silent for so long has forgotten the alert. */
const REPEATS_WITHIN = "1 day";

interface MaskRow {
  readonly namespace: string;
  readonly app: string;
  readonly masked_from: Date;
  readonly masked_to: Date | number;
  readonly cause: "alert" | "runbook";
}

/**
 * What alerts and runbooks did to workloads, from the tables of the runbooks service (sql/0001_runbooks.sql).
 *
 * They are another service's tables, which nobody but that service should know. But what a remediation did to a series is
 * no normal behaviour, and must not be learned; the only other way, its REST API, would make training depend on a service
 * that runs. So this is the one place that reads them: few columns, read only, and only if the tables are in this database.
 * A role that may not read them makes training fail: learning from incidents unawares would be worse. Clusters are not
 * told apart, since a workload of the same name elsewhere only loses some rows.
 */
export function openRunbookRecord(database: Queryable): RunbookRecord {
  return {
    masks: async ({ from, to }) => {
      if (!(await isHere(database))) return [];
      const { rows } = await database.query<MaskRow>(MASKS, [from, to, ...POD_NAMES]);
      if (rows.length >= ROWS_MAX) {
        throw new Error(`there are ${ROWS_MAX} alerts and runs or more: give a shorter time`);
      }
      return rows.map(maskOf);
    },
  };
}

async function isHere(database: Queryable): Promise<boolean> {
  const { rows } = await database.query<{ here: boolean }>(
    `SELECT num_nulls(to_regclass('runs'), to_regclass('episodes'), to_regclass('runbooks_audit')) = 0 AS here`,
  );
  return rows[0]?.here === true;
}

/** As controllers name pods: of a Deployment (with the alphabet of their hashes), and of a StatefulSet. */
const POD_NAMES = [
  "^(.+)-(?=[0-9]*[a-z])[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$",
  "^(.+)-[0-9]{1,5}$",
];

/**
 * Runs from the moment at which a call to the cluster may have left (`intent`), unless it was a dry run; and other
 * senders' alerts. The detector's own are masked by their series, which a person may take back by a label.
 *
 * A workload has a row for each of its names: a run's `app` is what the alert called it, its target's key ends with the
 * workload's own name, and a series may bear either. Of an alert all labels count that runbooks find a target by.
 */
const MASKS = `
  SELECT DISTINCT * FROM (
    SELECT r.namespace, unnest(ARRAY[r.app, split_part(r.target_key, '/', 4)]) AS app, min(a.ts) AS masked_from,
           coalesce(r.finished_at + interval '${SETTLES_AFTER}', 'infinity') AS masked_to, 'runbook' AS cause
      FROM runs r JOIN runbooks_audit a ON a.run_id = r.id AND a.event = 'intent'
     WHERE r.state <> 'skipped_dry_run' GROUP BY r.id
    UNION ALL
    SELECT coalesce(labels->>'namespace', labels->>'project'),
           unnest(ARRAY[labels->>'app', labels->>'deployment', labels->>'statefulset', labels->>'daemonset',
                        labels->>'service', (regexp_match(labels->>'pod', $3))[1], (regexp_match(labels->>'pod', $4))[1],
                        CASE WHEN labels ? 'project' AND NOT labels ? 'pod' THEN labels->>'container' END]),
           first_starts_at, coalesce(resolved_at, last_seen_at + interval '${REPEATS_WITHIN}'), 'alert'
      FROM episodes WHERE labels->>'alertname' IS DISTINCT FROM 'AIOpsAnomalyDetected'
  ) AS masks
  WHERE namespace <> '' AND app <> '' AND masked_from <= $2 AND masked_to >= $1
  ORDER BY masked_from, app LIMIT ${ROWS_MAX}`;

/** The driver gives `infinity` as the number. */
function maskOf({ masked_from: from, masked_to: to, ...rest }: MaskRow): Mask {
  return { ...rest, from: from.getTime(), to: typeof to === "number" ? to : to.getTime() };
}
