import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import type { BlobStore } from "../../lib/storage.ts";
import { appendDeed } from "../frame/record.ts";
import { MANIFEST } from "./manifest.ts";

/** Of one container; more are looked at when these are gone. */
const LOOKED_AT_MAX = 1_000;

export interface PruneDeps {
  readonly database: Database;
  readonly store: BlobStore;
  readonly log: Log;
  readonly signal: AbortSignal;
}

interface Row {
  readonly id: string;
  readonly project: string;
  readonly container: string;
  readonly snapshot: string;
  readonly folder: string;
  /** It was decided before, and not done. */
  readonly begun: boolean;
}

/**
 * Deletes exports of a container beyond its newest `keep`, on record. Only what was written down is deleted, in the place where
 * it was put; and only what is still whole counts as kept, so that the last good copy never goes. @returns how many
 */
export async function pruneExports(keep: number, deps: PruneDeps): Promise<number> {
  const { rows } = await deps.database.query<Pick<Row, "project" | "container">>(
    `SELECT project, container FROM hypervisor_snapshot_exports
      WHERE place = $1 AND deleted_at IS NULL GROUP BY project, container
     HAVING count(*) > $2 OR bool_or(deleting_at IS NOT NULL) ORDER BY project, container`,
    [deps.store.name, keep],
  );
  let deleted = 0;
  for (const { project, container } of rows) {
    try {
      for (const row of await superfluous(keep, { project, container }, deps))
        if (await deleteOne(row, keep, deps)) deleted += 1;
    } catch (error) {
      deps.log.warn("exports not pruned", { project, container, error: messageOf(error) });
    }
  }
  return deleted;
}

async function superfluous(
  keep: number,
  { project, container }: Pick<Row, "project" | "container">,
  { database, store, signal }: PruneDeps,
): Promise<readonly Row[]> {
  const { rows } = await database.query<Row>(
    `SELECT id, project, container, snapshot, folder, deleting_at IS NOT NULL AS begun
       FROM hypervisor_snapshot_exports
      WHERE place = $1 AND project = $2 AND container = $3 AND deleted_at IS NULL ORDER BY id DESC LIMIT $4`,
    [store.name, project, container, LOOKED_AT_MAX],
  );
  const chosen: Row[] = [];
  let good = 0;
  for (const row of rows) {
    if (row.begun) chosen.push(row);
    else if ((await store.head(`${row.folder}/${MANIFEST}`, signal)) === undefined)
      continue; // somebody else has deleted it, or a part of it
    else if (good < keep) good += 1;
    else chosen.push(row);
  }
  return chosen;
}

/** @returns false while another replica does it, and for a day after one that failed */
async function deleteOne(row: Row, keep: number, deps: PruneDeps): Promise<boolean> {
  const { database, store, signal } = deps;
  const claimed = await database.query(
    `UPDATE hypervisor_snapshot_exports SET deleting_at = now()
      WHERE id = $1 AND deleted_at IS NULL AND (deleting_at IS NULL OR deleting_at < now() - interval '1 day')`,
    [row.id],
  );
  if (claimed.rowCount === 0) return false;
  const deed = (result: "Started" | "Success" | "Failure", more = "") => ({
    actor: "fettle",
    action: "SnapshotExportDeleted" as const,
    resource: "snapshot" as const,
    id: `${row.container}/${row.snapshot}`,
    result,
    summary: `Deleted an export of the snapshot ${row.snapshot} of ${row.container}: the newest ${keep} are kept${more}`,
    facts: { project: row.project, export: row.id, folder: row.folder, place: store.name },
    ip: "local",
    organization: undefined,
  });
  await appendDeed(database, deed("Started"));
  try {
    // The manifest first: without it nobody takes what is left for an export.
    await store.delete(`${row.folder}/${MANIFEST}`, signal);
    for await (const { key } of store.list(`${row.folder}/`, signal))
      await store.delete(key, signal);
  } catch (error) {
    await appendDeed(database, deed("Failure", `: ${messageOf(error)}`));
    throw error;
  }
  await database.inTransaction(async (tx) => {
    await tx.query("UPDATE hypervisor_snapshot_exports SET deleted_at = now() WHERE id = $1", [
      row.id,
    ]);
    await appendDeed(tx, deed("Success"));
  });
  return true;
}
