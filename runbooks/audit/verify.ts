import type { Queryable } from "../../lib/postgres.ts";
import type { NoteVerifier } from "../../lib/signed-note.ts";
import { ChainWalk, type AuditProblem, type ChainedRow } from "./chain.ts";
import { compareCheckpoints } from "./compare-checkpoints.ts";
import { Findings } from "./findings.ts";
import { eachPage, PAGE_ROWS, type Pace } from "./pages.ts";
import { auditRowColumns } from "./row.ts";
import { compareRowsBefore, findChainStart, type ChainStart } from "./rows-before.ts";

/** What a look through the record has found. */
export interface AuditReport {
  /** Rows and chains that were recomputed. */
  readonly rows: number;
  readonly chains: number;
  /** Rows from before the chain, compared with what was there when it began. */
  readonly rowsBefore: number;
  /** Checkpoints that were built anew; 0 when a period was asked for. */
  readonly checkpoints: number;
  /** The first of each chain, the lowest row first; not all when there are many. */
  readonly problems: readonly AuditProblem[];
  readonly problemCount: number;
}

export interface AuditScope extends Pace {
  /** Only chains with a row in this period; they are recomputed as a whole. */
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
  /** Whose signatures the checkpoints must carry; undefined: they are not looked at. */
  readonly verifiers?: readonly NoteVerifier[] | undefined;
}

/**
 * Recomputes the record from plain SELECTs, page by page: memory does not grow with it. Rows that are written meanwhile do
 * no harm: a page and the heads of its chains are read at one moment.
 */
export async function verifyAudit(db: Queryable, scope: AuditScope = {}): Promise<AuditReport> {
  const problems = new Findings();
  const walk = await walkChains(problems, db, scope);
  await findEmptyChains(problems, db, scope);
  const start = await findChainStart(db);
  let [rowsBefore, checkpoints] = [0, 0];
  if (start === undefined)
    problems.addGone("deleted", null, "the note of where the chain began is missing");
  else {
    const all = scope.from === undefined || scope.from <= start.at;
    if (all) rowsBefore = await compareRowsBefore(problems, start, db, scope);
    await findRunsWithoutRecord(problems, start, db, scope);
    const { verifiers } = scope;
    if (scope.from === undefined && scope.to === undefined)
      checkpoints = await compareCheckpoints(problems, start, db, {
        verifiers,
        ...silently(scope),
      });
  }
  const { rows, chains } = walk;
  return {
    rows,
    chains,
    rowsBefore,
    checkpoints,
    problems: problems.lowest,
    problemCount: problems.count,
  };
}

/** SQL: whether the chain of the head `h` has a row in the period of $1 and $2. */
const IN_PERIOD =
  "($1::timestamptz IS NULL OR h.last_at >= $1) AND ($2::timestamptz IS NULL OR h.started_at < $2)";

/**
 * Of each row with the head of its chain. The heads are bounded as well, and looked up one by one: a planner without figures
 * reads all of them for every page.
 */
async function walkChains(problems: Findings, db: Queryable, scope: AuditScope) {
  const walk = new ChainWalk((problem) => {
    problems.add(problem);
  });
  const sql = `SELECT ${auditRowColumns}, h.rows::text AS head_rows, h.hash AS head_hash
      FROM runbooks_audit a LEFT JOIN audit_heads h ON h.chain = a.chain AND ($3::text IS NULL OR h.chain >= $3)
     WHERE a.chain IS NOT NULL AND a.chain_row IS NOT NULL
       AND ($3::text IS NULL OR (a.chain, a.chain_row, a.id) > ($3, $4::bigint, $5::bigint)) AND (h.chain IS NULL OR ${IN_PERIOD})
     ORDER BY a.chain, a.chain_row, a.id LIMIT ${PAGE_ROWS}`;
  await eachPage<ChainedRow>(
    async (last) => {
      const position = [last?.chain ?? null, last?.chain_row ?? null, last?.id ?? null];
      return (await db.query<ChainedRow>(sql, [...periodOf(scope), ...position])).rows;
    },
    (row) => {
      walk.next(row);
    },
    scope,
  );
  walk.end();
  return walk;
}

function periodOf({ from, to }: AuditScope): readonly (Date | null)[] {
  return [from ?? null, to ?? null];
}

interface HeadRow {
  readonly chain: string;
  readonly rows: string;
  readonly found: true | null;
}

/** Chains of which only the head is left. With a LIMIT no plan reads the whole record for a page of heads. */
async function findEmptyChains(
  problems: Findings,
  db: Queryable,
  scope: AuditScope,
): Promise<void> {
  const sql = `SELECT h.chain, h.rows::text,
           (SELECT true FROM runbooks_audit a WHERE a.chain = h.chain AND a.chain_row IS NOT NULL LIMIT 1) AS found
      FROM audit_heads h WHERE h.chain > $3 AND ${IN_PERIOD} ORDER BY h.chain LIMIT ${PAGE_ROWS}`;
  await eachPage<HeadRow>(
    async (last) => (await db.query<HeadRow>(sql, [...periodOf(scope), last?.chain ?? ""])).rows,
    ({ chain, rows, found }) => {
      if (found === null) problems.addGone("deleted", chain, `all of its ${rows} rows are missing`);
    },
    silently(scope),
  );
}

interface FoundRun {
  readonly id: string;
  readonly found: true | null;
}

/** Every run begins with a row that says who asked for it. */
async function findRunsWithoutRecord(
  problems: Findings,
  { at }: ChainStart,
  db: Queryable,
  scope: AuditScope,
): Promise<void> {
  const sql = `SELECT r.id, (SELECT true FROM audit_heads h WHERE h.chain = r.id LIMIT 1) AS found FROM runs r
     WHERE r.id > $4 AND r.created_at > $3 AND ($1::timestamptz IS NULL OR r.created_at >= $1)
       AND ($2::timestamptz IS NULL OR r.created_at < $2) ORDER BY r.id LIMIT ${PAGE_ROWS}`;
  await eachPage<FoundRun>(
    async (last) => (await db.query<FoundRun>(sql, [...periodOf(scope), at, last?.id ?? ""])).rows,
    ({ id, found }) => {
      if (found === null) problems.addGone("deleted", id, "the run has no record at all");
    },
    silently(scope),
  );
}

/** These pages hold no rows of the record: nobody is told of them. */
function silently({ afterPage, signal }: AuditScope): Pace {
  const rest = afterPage === undefined ? {} : { afterPage: async () => afterPage(0) };
  return signal === undefined ? rest : { ...rest, signal };
}
