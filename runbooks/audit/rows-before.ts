import { createHash } from "node:crypto";
import type { Queryable } from "../../lib/postgres.ts";
import type { Findings } from "./findings.ts";
import { eachPage, PAGE_ROWS, type Pace } from "./pages.ts";
import { auditRowColumns, hashOfRow, type AuditRow } from "./row.ts";

/** What was there when the chain began. */
export interface ChainStart {
  readonly at: Date;
  readonly last_id: string;
  readonly rows: string;
  /** SHA-256 of the hashes of these rows, in the order of their ids. */
  readonly sha256: string;
}

export async function findChainStart(db: Queryable): Promise<ChainStart | undefined> {
  const { rows } = await db.query<ChainStart>(
    "SELECT at, last_id::text, rows::text, sha256 FROM audit_chain_start",
  );
  return rows[0];
}

/**
 * Looks at the rows that have no place in a chain: those from before it, which were counted and hashed when it began, and
 * such as have no business there.
 *
 * @returns how many are from before the chain
 */
export async function compareRowsBefore(
  problems: Findings,
  start: ChainStart,
  db: Queryable,
  pace: Pace,
): Promise<number> {
  const all = createHash("sha256");
  let count = 0;
  await eachPage<AuditRow>(
    async (last) => readRows(last?.id ?? null, db),
    (row) => {
      if (isBefore(row, start)) {
        count += 1;
        all.update(hashOfRow(row));
      } else {
        const text = `id ${row.id} was written past the chain, or taken out of it`;
        problems.add({ kind: "inserted", chain: row.chain, id: row.id, text });
      }
    },
    pace,
  );
  if (String(count) !== start.rows) {
    const kind = count < Number(start.rows) ? "deleted" : "inserted";
    const text = `${start.rows} rows were there before the chain, now ${count} are`;
    problems.addGone(kind, null, text);
  } else if (all.digest("hex") !== start.sha256)
    problems.addGone("edited", null, "a row from before the chain was changed");
  return count;
}

async function readRows(after: string | null, db: Queryable): Promise<readonly AuditRow[]> {
  const { rows } = await db.query<AuditRow>(
    `SELECT ${auditRowColumns} FROM runbooks_audit a
      WHERE (a.chain IS NULL OR a.chain_row IS NULL OR a.hash IS NULL) AND ($1::bigint IS NULL OR a.id > $1)
      ORDER BY a.id LIMIT ${PAGE_ROWS}`,
    [after],
  );
  return rows;
}

function isBefore(
  { chain, chain_row: place, prev_hash: before, hash, id }: AuditRow,
  start: ChainStart,
): boolean {
  const unmarked = [chain, place, before, hash].every((mark) => mark === null);
  return unmarked && BigInt(id) <= BigInt(start.last_id);
}
