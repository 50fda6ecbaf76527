import type { Database } from "../../lib/postgres.ts";
import { readOwnManifest } from "../manifest.ts";
import type { Archive, FormulaRule, RowProof, StoredExport, StoredFile } from "../types.ts";

interface Row extends Omit<StoredFile, "plaintextSha256"> {
  readonly exportId: string;
  readonly cutoff: Date;
  readonly plaintextSha256: string | null;
}

/** Credentials that may only write hold everything, each run again; a row of the audit trail is to stay small. */
const HELD_LISTED_MAX = 20;

/** What the receipts say that we stored, and have not deleted since. */
export function postgresArchive(database: Database): Archive {
  return {
    stored: async (destination) => stored(database, destination),
    recordDeleted: async (destination, exportId, names) =>
      database.inTransaction(async (tx) => {
        await tx.query(
          "UPDATE audit_export_receipts SET deleted_at = now() WHERE destination = $1 AND export_id = $2 AND file_name = ANY($3)",
          [destination, exportId, names],
        );
        await tx.query(
          "INSERT INTO runbooks_audit (event, actor, target, detail) VALUES ('export_deleted', 'fettle-exporter', $1, $2)",
          [destination, JSON.stringify({ export_id: exportId, files: names })],
        );
      }),
    recordHeld: async (destination, held) => {
      await database.query(
        "INSERT INTO runbooks_audit (event, actor, target, detail) VALUES ('export_held', 'fettle-exporter', $1, $2)",
        [
          destination,
          JSON.stringify({
            count: held.length,
            exports: held
              .slice(0, HELD_LISTED_MAX)
              .map(({ exportId: export_id, name, reason }) => ({
                export_id,
                name,
                reason,
              })),
          }),
        ],
      );
    },
    proofOf: async (exportId, name) => proofOf(database, exportId, name),
    recordDrill: async ({ recipient, destination, at, name }) => {
      await database.query(
        `INSERT INTO audit_drills (recipient, destination, last_ok_at, file_name) VALUES ($1, $2, $3, $4)
         ON CONFLICT (recipient, destination) DO UPDATE SET last_ok_at = $3, file_name = $4`,
        [recipient, destination, at, name],
      );
    },
    lastDrills: async () => {
      const { rows } = await database.query<{ recipient: string; at: Date }>(
        "SELECT recipient, max(last_ok_at) AS at FROM audit_drills GROUP BY recipient",
      );
      return rows;
    },
  };
}

async function proofOf(
  database: Database,
  exportId: string,
  name: string,
): Promise<RowProof | undefined> {
  const found = await database.query<{ readonly note: string }>(
    "SELECT note FROM audit_manifests WHERE export_id = $1",
    [exportId],
  );
  const [signed] = found.rows.map(({ note }) => readOwnManifest(note));
  const file = signed?.files.find((each) => each.name === name && each.form !== "jsonl");
  if (signed === undefined || file === undefined) return undefined;
  const { rows } = await database.query<{
    readonly formula: FormulaRule;
    readonly edge: readonly string[];
    readonly size: number;
    readonly edgeBefore: readonly string[] | null;
    readonly sizeBefore: number | null;
    readonly isLast: boolean;
  }>(
    `SELECT e.formula, p.tree_edge AS edge, p.tree_size::float8 AS size, p.last_part AS "isLast",
       b.tree_edge AS "edgeBefore", b.tree_size::float8 AS "sizeBefore"
     FROM audit_export_parts p
     JOIN audit_exports e ON e.export_id = p.export_id
     LEFT JOIN audit_export_parts b ON b.export_id = p.export_id AND b.part = p.part - 1
     WHERE p.export_id = $1 AND p.part = $2 AND p.tree_edge IS NOT NULL`,
    [exportId, file.part],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const { formula, edge, size, edgeBefore, sizeBefore, isLast } = row;
  return {
    formula,
    before:
      edgeBefore === null || sizeBefore === null
        ? undefined
        : { edge: edgeBefore, size: sizeBefore },
    after: { edge, size },
    root: isLast ? signed.merkle.root : undefined,
  };
}

async function stored(database: Database, destination: string): Promise<readonly StoredExport[]> {
  const { rows } = await database.query<Row>(
    `SELECT e.export_id AS "exportId", e.cutoff, r.file_name AS name, r.sha256, b.plaintext_sha256 AS "plaintextSha256"
     FROM audit_export_receipts r
     JOIN audit_exports e ON e.export_id = r.export_id AND e.state = 'done'
     LEFT JOIN audit_export_builds b
       ON b.export_id = r.export_id AND b.file_name = r.file_name AND b.sha256 = r.sha256
     WHERE r.destination = $1 AND r.deleted_at IS NULL
     ORDER BY e.last_xid DESC, e.last_id DESC, e.done_at DESC, b.plaintext_sha256 IS NULL, r.file_name`,
    [destination],
  );
  const exports = new Map<string, { exportId: string; cutoff: Date; files: StoredFile[] }>();
  for (const { exportId, cutoff, plaintextSha256, ...file } of rows) {
    const each = exports.get(exportId) ?? { exportId, cutoff, files: [] };
    each.files.push({ ...file, plaintextSha256: plaintextSha256 ?? undefined });
    exports.set(exportId, each);
  }
  return [...exports.values()];
}
