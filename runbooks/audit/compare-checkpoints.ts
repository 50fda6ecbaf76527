import { sha256Hex } from "../../lib/canonical.ts";
import { messageOf } from "../../lib/error.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { NoteError, verifyNote, type NoteVerifier } from "../../lib/signed-note.ts";
import { checkpointText, treeOf, type Checkpoint } from "./checkpoint.ts";
import type { Findings } from "./findings.ts";
import { PAGE_ROWS, type Pace } from "./pages.ts";
import type { ChainStart } from "./rows-before.ts";

/**
 * Builds every checkpoint anew from the rows that it covers. With keys, each note must be signed by one of them.
 *
 * @returns how many there are
 */
export async function compareCheckpoints(
  problems: Findings,
  start: ChainStart,
  db: Queryable,
  { verifiers, ...pace }: Pace & { readonly verifiers?: readonly NoteVerifier[] | undefined },
): Promise<number> {
  let count = 0;
  let before: Checkpoint | undefined;
  for (;;) {
    const page = await readCheckpoints(before?.number ?? null, db);
    for (const checkpoint of page) {
      const problem = await problemOf(checkpoint, before, { start, db, verifiers });
      if (problem !== undefined)
        problems.addGone("checkpoint", null, `checkpoint ${checkpoint.number}: ${problem}`);
      before = checkpoint;
      count += 1;
      pace.signal?.throwIfAborted();
      await pace.afterPage?.(0);
    }
    if (page.length < PAGE_ROWS) return count;
  }
}

async function readCheckpoints(
  after: string | null,
  db: Queryable,
): Promise<readonly Checkpoint[]> {
  const { rows } = await db.query<Checkpoint>(
    `SELECT c.number::text, c.at, c.last_id::text, c.rows::text, c.root, c.note FROM audit_checkpoints c
      WHERE $1::bigint IS NULL OR c.number > $1 ORDER BY c.number LIMIT ${PAGE_ROWS}`,
    [after],
  );
  return rows;
}

interface Trust {
  readonly start: ChainStart;
  readonly db: Queryable;
  readonly verifiers: readonly NoteVerifier[] | undefined;
}

async function problemOf(
  checkpoint: Checkpoint,
  before: Checkpoint | undefined,
  { start, db, verifiers }: Trust,
): Promise<string | undefined> {
  const { number, last_id: upTo } = checkpoint;
  if (BigInt(number) !== BigInt(before?.number ?? 0) + 1n)
    return `the one before it is ${before?.number ?? "missing"}`;
  const previous = before === undefined ? start.sha256 : sha256Hex(before.note);
  const tree = await treeOf(previous, { after: before?.last_id ?? null, upTo }, db);
  if (String(tree.rows) !== checkpoint.rows)
    return `${checkpoint.rows} rows were there up to id ${upTo}, now ${tree.rows} are`;
  const expected = checkpointText({ ...checkpoint, root: tree.root, previous });
  if (tree.root !== checkpoint.root)
    return `the rows up to id ${upTo} are not those that it was made of`;
  return noteProblem(checkpoint.note, expected, verifiers);
}

function noteProblem(
  note: string,
  expected: string,
  verifiers: readonly NoteVerifier[] | undefined,
): string | undefined {
  if (note !== expected && !note.startsWith(`${expected}\n`)) return "its note says something else";
  if (verifiers === undefined) return undefined;
  if (note === expected)
    return "not a signed note: made before AUDIT_SIGNING_KEY_FILE was set, or its signature was taken away";
  try {
    verifyNote(note, verifiers);
    return undefined;
  } catch (error) {
    if (error instanceof NoteError) return messageOf(error);
    throw error;
  }
}
