import { z } from "zod";
import type { Queryable } from "../../lib/postgres.ts";
import type { Claim, Outcome } from "../operations/types.ts";
import { utcColumn } from "../utc-column.ts";
import { folderOf } from "./export-snapshot.ts";

/** One finished export as the API shows it. */
export interface StoredExport {
  /** Of the operation. */
  readonly id: string;
  readonly project: string;
  readonly container: string;
  readonly snapshot: string;
  readonly exported_by: string;
  readonly exported_at: string;
  readonly place: string;
  readonly location: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly tar_bytes: number;
  readonly parts: number;
}

const resultSchema = z.object({
  location: z.string(),
  sha256: z.string(),
  bytes: z.number(),
  tar_bytes: z.number(),
  parts: z.number(),
});

/** Writes down an export that has ended well, in that end's transaction. @param place the store's name */
export async function noteExported(
  tx: Queryable,
  place: string | undefined,
  claim: Claim,
  outcome: Outcome,
): Promise<void> {
  const { work } = claim;
  if (work.verb !== "export-snapshot" || outcome.kind !== "completed") return;
  const { location, sha256, bytes, tar_bytes, parts } = resultSchema.parse(outcome.result);
  await tx.query(
    `INSERT INTO hypervisor_snapshot_exports
       (id, project, container, snapshot, exported_by, place, folder, location, sha256, bytes, tar_bytes, parts)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      ...[claim.id, work.project, work.name, work.snapshot, claim.actor, place ?? ""],
      ...[folderOf(work, claim), location, sha256, bytes, tar_bytes, parts],
    ],
  );
}

/** The newest first; those that retention has deleted are not among them. */
export async function listExports(
  database: Queryable,
  asked: {
    readonly project?: string | undefined;
    readonly container?: string | undefined;
    /** Only those before this id. */
    readonly before?: string | undefined;
    readonly limit: number;
  },
): Promise<readonly StoredExport[]> {
  const { project, container, before, limit } = asked;
  const { rows } = await database.query<StoredExport>(
    `SELECT id, project, container, snapshot, exported_by, ${utcColumn("exported_at")}, place, location, sha256,
            bytes::float8 AS bytes, tar_bytes::float8 AS tar_bytes, parts
       FROM hypervisor_snapshot_exports
      WHERE deleted_at IS NULL AND ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR container = $2)
        AND ($3::text IS NULL OR id < $3)
      ORDER BY id DESC LIMIT $4`,
    [project ?? null, container ?? null, before ?? null, limit],
  );
  return rows;
}
