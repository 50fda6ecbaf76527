import type { Queryable } from "../../lib/postgres.ts";
import type { AnomalyArchive, AnomalyFilter } from "../types/anomaly.ts";
import { anomalyOf, type AnomalyRow } from "./anomaly-row.ts";

/** What was ever recorded, newest first. Errors of the driver come through unchanged. */
export function openArchive(database: Queryable): AnomalyArchive {
  return {
    list: async ({ limit, state, metric, after }: AnomalyFilter) => {
      const { rows } = await database.query<AnomalyRow>(
        `SELECT * FROM aiops_anomalies
         WHERE ($2::text IS NULL OR metric = $2) AND ($3::boolean IS NULL OR (closed_at IS NULL) = $3)
           AND ($4::timestamptz IS NULL OR opened_at < $4 OR (opened_at = $4 AND id > $5))
         ORDER BY opened_at DESC, id LIMIT $1`,
        [
          ...[limit, metric ?? null, state === undefined ? null : state === "open"],
          ...[after === undefined ? null : new Date(after.openedAt), after?.id ?? null],
        ],
      );
      return rows.map(anomalyOf);
    },
    find: async (id) => {
      const { rows } = await database.query<AnomalyRow>(
        "SELECT * FROM aiops_anomalies WHERE id = $1",
        [id],
      );
      return rows[0] && anomalyOf(rows[0]);
    },
    memoryOf: async (id) => {
      const { rows } = await database.query<{ memory: Buffer }>(
        "SELECT memory FROM aiops_memories WHERE anomaly_id = $1",
        [id],
      );
      return rows[0]?.memory;
    },
  };
}
