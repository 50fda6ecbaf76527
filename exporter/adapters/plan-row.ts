import type { Database } from "../../lib/postgres.ts";
import type {
  BuiltFile,
  ChainHead,
  ExportPlan,
  ExportState,
  FormulaRule,
  PlannedPart,
  Receipt,
  SignedManifest,
  Verification,
} from "../types.ts";
import { refuseOtherCluster } from "./postgres-range.ts";

interface PlanRow {
  readonly export_id: string;
  readonly state: ExportState;
  readonly file_name: string;
  readonly stored_name: string;
  readonly formula: FormulaRule;
  readonly system_identifier: string | null;
  readonly after_xid: string | null;
  readonly after_id: string | null;
  readonly horizon_xid: string;
  readonly last_xid: string;
  readonly last_id: string;
  readonly cutoff: Date;
  readonly part_bytes: number;
}

/** The export that an interrupted run left open, with what it had already done. There is never more than one. */
export async function readPlan(
  database: Database,
  cluster: string | null,
): Promise<ExportPlan | undefined> {
  const { rows } = await database.query<PlanRow>(
    `SELECT export_id, state, file_name, stored_name, formula, system_identifier, after_xid::text, after_id::text,
       horizon_xid::text, last_xid::text, last_id::text, cutoff, part_bytes::float8 FROM audit_exports WHERE state <> 'done'`,
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  refuseOtherCluster(row.system_identifier, cluster);
  return {
    exportId: row.export_id,
    state: row.state,
    name: { clear: row.file_name, stored: row.stored_name },
    formula: row.formula,
    range: rangeOf(row),
    partBytes: row.part_bytes,
    parts: await readParts(database, row.export_id),
    manifest: await readManifestRow(database, row.export_id),
    builds: await readBuilds(database, row.export_id),
    receipts: await readReceipts(database, row.export_id),
  };
}

function rangeOf(row: PlanRow): ExportPlan["range"] {
  const { after_xid: xid, after_id: id } = row;
  return {
    after: xid === null || id === null ? undefined : { xid, id },
    last: { xid: row.last_xid, id: row.last_id },
    horizonXid: row.horizon_xid,
    cutoff: row.cutoff,
  };
}

async function readParts(database: Database, exportId: string): Promise<readonly PlannedPart[]> {
  const { rows } = await database.query<
    Omit<PlannedPart, "last" | "tree"> & {
      readonly xid: string;
      readonly id: string;
      readonly edge: readonly string[] | null;
      readonly size: number | null;
    }
  >(
    `SELECT part, rows::float8 AS rows, plaintext_bytes::float8 AS bytes, plaintext_sha256 AS sha256,
       last_xid::text AS xid, last_id::text AS id, tree_edge AS edge, tree_size::float8 AS size, last_part AS "isLast"
     FROM audit_export_parts WHERE export_id = $1 ORDER BY part`,
    [exportId],
  );
  return rows.map(({ xid, id, edge, size, ...part }) => ({
    ...part,
    last: { xid, id },
    tree: edge === null || size === null ? undefined : { edge, size },
  }));
}

async function readManifestRow(
  database: Database,
  exportId: string,
): Promise<SignedManifest | undefined> {
  const { rows } = await database.query<SignedManifest>(
    `SELECT sequence::float8 AS sequence, file_name AS name, sha256, note FROM audit_manifests WHERE export_id = $1`,
    [exportId],
  );
  return rows[0];
}

/** The newest signed manifest; there is none beyond it, because only one export is open at a time. */
export async function readChainHead(database: Database): Promise<ChainHead | undefined> {
  const { rows } = await database.query<ChainHead>(
    "SELECT sequence::float8 AS sequence, sha256 FROM audit_manifests ORDER BY audit_manifests.sequence DESC LIMIT 1",
  );
  return rows[0];
}

async function readBuilds(database: Database, exportId: string): Promise<readonly BuiltFile[]> {
  const { rows } = await database.query<BuiltFile>(
    `SELECT file_name AS name, sha256, bytes::float8 AS bytes, plaintext_sha256 AS "plaintextSha256",
       plaintext_bytes::float8 AS "plaintextBytes", rows::float8 AS rows
     FROM audit_export_builds WHERE export_id = $1 ORDER BY built_at`,
    [exportId],
  );
  return rows;
}

async function readReceipts(database: Database, exportId: string): Promise<readonly Receipt[]> {
  const { rows } = await database.query<Receipt & { readonly verifiedBy: Verification }>(
    `SELECT destination, file_name AS name, location, sha256, bytes::float8 AS bytes,
       verified_by AS "verifiedBy", adopted
     FROM audit_export_receipts WHERE export_id = $1 ORDER BY received_at`,
    [exportId],
  );
  return rows;
}
