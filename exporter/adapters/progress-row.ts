import type { Database } from "../../lib/postgres.ts";
import type { BuiltFile, ExportPlan, PlannedPart, Receipt, SignedManifest } from "../types.ts";

/** What an export has done so far, row by row; `readPlan` reads it back. */
export async function upsertPart(
  database: Database,
  { exportId }: ExportPlan,
  { part, rows, bytes, sha256, last, tree, isLast }: PlannedPart,
): Promise<void> {
  await database.query(
    `INSERT INTO audit_export_parts (export_id, part, rows, plaintext_bytes, plaintext_sha256, last_xid, last_id,
       tree_edge, tree_size, last_part)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (export_id, part) DO UPDATE SET tree_edge = excluded.tree_edge, tree_size = excluded.tree_size`,
    [exportId, part, rows, bytes, sha256, last.xid, last.id, tree?.edge, tree?.size, isLast],
  );
}

export async function insertBuild(
  database: Database,
  { exportId }: ExportPlan,
  { name, sha256, bytes, plaintextSha256, plaintextBytes, rows }: BuiltFile,
): Promise<void> {
  await database.query(
    `INSERT INTO audit_export_builds (export_id, file_name, sha256, bytes, plaintext_sha256, plaintext_bytes, rows)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
    [exportId, name, sha256, bytes, plaintextSha256, plaintextBytes, rows],
  );
}

export async function insertReceipt(
  database: Database,
  { exportId }: ExportPlan,
  { destination, name, location, sha256, bytes, verifiedBy, adopted }: Receipt,
): Promise<void> {
  await database.query(
    `INSERT INTO audit_export_receipts
       (export_id, destination, file_name, location, sha256, bytes, verified_by, adopted)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
    [exportId, destination, name, location, sha256, bytes, verifiedBy, adopted],
  );
}

export async function insertManifest(
  database: Database,
  { exportId }: ExportPlan,
  { sequence, name, sha256, note }: SignedManifest,
): Promise<void> {
  await database.query(
    "INSERT INTO audit_manifests (sequence, export_id, file_name, sha256, note) VALUES ($1, $2, $3, $4, $5)",
    [sequence, exportId, name, sha256, note],
  );
}
