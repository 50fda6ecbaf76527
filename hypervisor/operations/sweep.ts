import type { Database } from "../../lib/postgres.ts";
import { appendLine } from "./progress-table.ts";

/** How long operations and workflows that have ended can be looked at. */
const KEPT_DAYS = 30;
/** A worker that says nothing for so long has died, or has forgotten to say the end. */
const SILENT_HOURS = 24;
const ROWS_MAX = 1_000;

/** Forgets old operations, and ends workflows whose workers fell silent: none is "in progress" for ever. */
export async function sweepOperations(database: Database): Promise<void> {
  await database.query(
    `DELETE FROM hypervisor_operations WHERE id IN
       (SELECT id FROM hypervisor_operations WHERE ended_at < now() - make_interval(days => $1) LIMIT $2)`,
    [KEPT_DAYS, ROWS_MAX],
  );
  await database.inTransaction(async (tx) => {
    const { rows } = await tx.query<{ id: string }>(
      `UPDATE hypervisor_operations
          SET status = 'failed', ended_at = now(), error = 'its worker said nothing for ${SILENT_HOURS} hours'
        WHERE id IN (SELECT id FROM hypervisor_operations
                      WHERE status IN ('pending', 'in_progress') AND kind = 'workflow'
                        AND updated_at < now() - make_interval(hours => $1)
                      ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
        RETURNING id`,
      [SILENT_HOURS],
    );
    for (const { id } of rows) await appendLine(tx, id);
  });
}
